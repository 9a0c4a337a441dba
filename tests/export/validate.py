#!/usr/bin/env python3
"""Asks the real programs what they make of exports: one process for all of them.

    validate.py exports FOLDER     prints what is wrong with the exports below it, a line each
    validate.py verdicts FILE      prints a JSON list: for each object of the file whether the schemas take it

An export is a folder with `export.json` in it (the objects, and the versions that they are for) beside `yaml/`, `helm/` and
perhaps `kustomize/` as `minipaas export` writes them. What is asked:

- Is the text the objects, to a parser of YAML 1.1, as kubectl has one?
- Does kustomize, and does Helm with the chart's own values, make the same objects of its form?
- Does Helm's lint mind anything?
- Do the published schemas take the objects, strictly, in each of the versions? Kinds that are no part of Kubernetes have none.

`tests/prepare` installs what this needs.
"""

import functools
import json
import pathlib
import subprocess
import sys

import helm_python
import jsonschema
import kubernetes_validate
import referencing
import yaml

SCHEMAS = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
KUBECTL = pathlib.Path(sys.executable).parent / "kubectl"
# Groups that Kubernetes does not have itself, so that there is no schema.
CUSTOM = ("bitnami.com", "cert-manager.io", "external-secrets.io", "gateway.networking.k8s.io", "traefik.io")
# What Helm's lint says of every chart that has none of it, and what is no mistake.
LINT_IGNORED = ("icon is recommended",)
LINT_WARNING = 2


def main():
    what, path = sys.argv[1:]
    if what == "verdicts":
        print(json.dumps([takes(one["object"], one["version"]) for one in json.loads(pathlib.Path(path).read_text())]))
        return
    for description in sorted(pathlib.Path(path).rglob("export.json")):
        for finding in findings(description):
            print(f"{description.parent.relative_to(path)}: {finding}")


def findings(description):
    folder = description.parent
    asked = json.loads(description.read_text())
    wanted = asked["objects"]
    yield from compared("yaml", wanted, documents(sorted((folder / "yaml").glob("*.yaml"))))
    if (folder / "kustomize").exists():
        yield from kustomized(folder / "kustomize", wanted)
    yield from rendered(folder / "helm", wanted, asked["namespace"])
    for found in wanted:
        for version in asked["versions"]:
            yield from (f"{version} does not take {name(found)}: {error}" for error in errors(found, version))


def documents(files):
    return [one for file in files for one in load(file.read_text(), file.name, yaml.CSafeLoader)]


class GoLoader(yaml.CSafeLoader):
    """Reads what programs in Go write: `<<` and `=` as values are plain there, and strings."""


for tag in ("merge", "value"):
    GoLoader.add_constructor(f"tag:yaml.org,2002:{tag}", GoLoader.construct_yaml_str)


def load(text, where, loader=GoLoader):
    """The objects of a text, as YAML 1.1 has them."""
    try:
        return [one for one in yaml.load_all(text, Loader=loader) if one is not None]
    except yaml.YAMLError as error:
        return [{"kind": "unreadable", "metadata": {"name": where}, "error": str(error)}]


def kustomized(folder, wanted):
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stderr:
        yield f"kustomize says: {done.stderr.strip()}"
    yield from compared("kustomize", wanted, load(done.stdout, "kustomize"))


def rendered(folder, wanted, namespace):
    try:
        with helm_python.Chart.load(str(folder)) as chart:
            made = chart.render(None, name="release", namespace=namespace or "default")
    except helm_python.HelmError as error:
        yield f"Helm says: {error}"
        return
    texts = {path: text for path, text in sorted(made.items()) if not path.endswith("NOTES.txt")}
    found = [without_hooks(one) for path, text in texts.items() for one in load(text, path)]
    # Helm makes the namespace before it asks the chart.
    wanted = [without_hooks(one) for one in wanted if one["kind"] != "Namespace"]
    yield from compared("helm", wanted, found)
    for message in helm_python.lint(str(folder), strict=True)["messages"]:
        if message["severity"] >= LINT_WARNING and not any(known in message["error"] for known in LINT_IGNORED):
            yield f"Helm's lint says: {message['path']}: {message['error']}"


def without_hooks(value):
    """The object without what only Helm knows: at which time a hook runs."""
    metadata = dict(value.get("metadata") or {})
    annotations = {key: text for key, text in (metadata.pop("annotations", None) or {}).items() if not key.startswith("helm.sh/")}
    return {**value, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def compared(form, wanted, found):
    """How two lists of objects differ, of whatever order."""
    if len(wanted) != len(found):
        yield f"{form} has {len(found)} objects, and not {len(wanted)}"
    wanted, found = ({name(one): one for one in objects} for objects in (wanted, found))
    for key in wanted.keys() - found.keys():
        yield f"{form} lacks {key}"
    for key in found.keys() - wanted.keys():
        yield f"{form} has {key}, {found[key].get('error', 'which nobody wants')}"
    for key in sorted(wanted.keys() & found.keys()):
        yield from (f"{form}: {key}: {difference}" for difference in differences(wanted[key], found[key], ""))


def differences(wanted, found, path):
    # Python says that True == 1 == 1.0.
    if type(wanted) is not type(found):
        yield f"{path} is {wanted!r}, and {found!r} here"
    elif isinstance(wanted, dict):
        for key in sorted(wanted.keys() | found.keys(), key=str):
            if key not in found:
                yield f"{path}.{key} is lost"
            elif key not in wanted:
                yield f"{path}.{key} is new: {found[key]!r}"
            else:
                yield from differences(wanted[key], found[key], f"{path}.{key}")
    elif isinstance(wanted, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found)):
            yield from differences(one, other, f"{path}[{index}]")
    elif wanted != found:
        yield f"{path} is {wanted!r}, and {found!r} here"


def errors(value, version):
    # Many exports have the same objects.
    return errors_of(json.dumps(value, sort_keys=True), version)


@functools.cache
def errors_of(text, version):
    value = json.loads(text)
    group, _, _ = value["apiVersion"].rpartition("/")
    if group in CUSTOM:
        return ()
    schema = validator(value["kind"], value["apiVersion"], version)
    if schema is None:
        return ("there is no such kind",)
    found = jsonschema.exceptions.best_match(schema.iter_errors(value))
    return () if found is None else (f"{found.json_path}: {found.message}",)


def takes(value, version):
    schema = validator(value["kind"], value["apiVersion"], version)
    return schema is not None and schema.is_valid(value)


@functools.cache
def validator(kind, api_version, version):
    group, _, api = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.split(".")[0], api) if part)
    path = folder(version) / f"{name}.json"
    if not path.exists():
        return None
    return jsonschema.validators.Draft202012Validator(json.loads(path.read_text()), registry=definitions(version))


@functools.cache
def definitions(version):
    resource = referencing.Resource.from_contents(json.loads((folder(version) / "_definitions.json").read_text()))
    return resource @ referencing.Registry()


def folder(version):
    return SCHEMAS / f"v{version}.0-local-strict"


def name(value):
    return f"{value.get('kind')} `{(value.get('metadata') or {}).get('name')}`"


main()
