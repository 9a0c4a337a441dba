#!/usr/bin/env python3
"""Makes src/export/check/schemas.json.zst: what the API servers of many versions take, of the kinds that an export has.

The source is the package `kubernetes-validate`, whose schemas are made from the OpenAPI documents of Kubernetes (Apache-2.0).
Of each type the fields are kept, with their shapes, whether they are required, by which keys the items of a list are told apart,
and in which versions there are such; descriptions are not. `src/export/check/schema.rs` says how it is read.

    target/testbed/kubernetes/bin/python tests/export/distill.py [--json]

Needs `zstd`. With `--json` it prints what it would compress. The same package gives the same bytes.
"""

import json
import pathlib
import subprocess
import sys

import kubernetes_validate

OLDEST = 30
KINDS = [
    "configmap-v1",
    "cronjob-batch-v1",
    "deployment-apps-v1",
    "endpointslice-discovery-v1",
    "horizontalpodautoscaler-autoscaling-v2",
    "ingress-networking-v1",
    "job-batch-v1",
    "namespace-v1",
    "networkpolicy-networking-v1",
    "persistentvolumeclaim-v1",
    "poddisruptionbudget-policy-v1",
    "secret-v1",
    "service-v1",
    "serviceaccount-v1",
    "statefulset-apps-v1",
]
# What a server fills in, and no file has.
SERVER_FIELDS = {"status"}
# Types that are one value, by their names.
LEAVES = {
    "util.intstr.IntOrString": "int-or-string",
    "api.resource.Quantity": "quantity",
    "apis.meta.v1.Time": "time",
    "apis.meta.v1.MicroTime": "time",
}
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


def main():
    minors = sorted(
        int(folder.name.split(".")[1])
        for folder in SCHEMAS.glob("v1.*.0-local-strict")
        if int(folder.name.split(".")[1]) >= OLDEST
    )
    assert minors == list(range(minors[0], minors[-1] + 1)), f"a version is missing among {minors}"
    kinds, types = {}, {}
    for minor in minors:
        of_version(minor, kinds, types)
    text = json.dumps(
        {
            "minors": [minors[0], minors[-1]],
            "kinds": {gvk: [name, *within(seen, minors)] for gvk, (name, seen) in sorted(kinds.items())},
            "types": {
                name: [
                    [*field, *within(seen, minors)]
                    for field, seen in sorted(fields.items(), key=lambda entry: (entry[0][0], entry[1]))
                ]
                for name, fields in sorted(types.items())
            },
        },
        separators=(",", ":"),
    )
    if "--json" in sys.argv[1:]:
        print(text)
        return
    target = ROOT / "src/export/check/schemas.json.zst"
    packed = subprocess.run(["zstd", "--ultra", "-22", "--stdout"], input=text.encode(), stdout=subprocess.PIPE, check=True)
    target.write_bytes(packed.stdout)
    print(f"{target.relative_to(ROOT)}: {len(text)} bytes, {len(packed.stdout)} compressed")


def of_version(minor, kinds, types):
    """Adds what one version has: to each kind, type and field the version."""
    folder = SCHEMAS / f"v1.{minor}.0-local-strict"
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    seen = set()

    def shape(schema):
        """`string`, `[Container]`, `{quantity}`: how a value looks."""
        if "$ref" in schema:
            full = schema["$ref"].rsplit("/", 1)[-1]
            name = short(full)
            if name not in LEAVES and name not in seen:
                seen.add(name)
                types.setdefault(name, {})
                add_fields(name, definitions[full])
            return LEAVES.get(name, name)
        kind = schema["type"]
        kind = kind if isinstance(kind, str) else next(one for one in kind if one != "null")
        if kind == "array":
            return f"[{shape(schema['items'])}]"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return "{%s}" % shape(schema["additionalProperties"])
        assert kind != "object", f"an object of no type: {schema}"
        if schema.get("format") == "byte":
            return "bytes"
        return schema["format"] if kind == "integer" else kind

    def add_fields(name, schema):
        for field, inner in schema.get("properties", {}).items():
            if "x-kubernetes-group-version-kind" in schema and field in SERVER_FIELDS:
                continue
            required = field in schema.get("required", [])
            listed = inner.get("x-kubernetes-list-type")
            keys = {"map": inner.get("x-kubernetes-list-map-keys"), "set": []}.get(listed)
            key = (field, shape(inner), int(required), None if keys is None else ",".join(keys))
            types[name].setdefault(key, set()).add(minor)

    for kind in KINDS:
        path = folder / f"{kind}.json"
        if not path.exists():
            continue
        schema = json.loads(path.read_text())
        gvk = schema["x-kubernetes-group-version-kind"][0]
        version = f"{gvk['group']}/{gvk['version']}".lstrip("/")
        name = f"{version}/{gvk['kind']}"
        kinds.setdefault(name, (name, set()))[1].add(minor)
        if name not in seen:
            seen.add(name)
            types.setdefault(name, {})
            add_fields(name, schema)


def within(seen, minors):
    """The first and the last version, 0 where that is the first or last of all. There is no gap between."""
    first, last = min(seen), max(seen)
    assert len(seen) == last - first + 1, f"a gap in {sorted(seen)}"
    return [0 if first == minors[0] else first, 0 if last == minors[-1] else last]


def short(name):
    """Without what all have: `core.v1.Container`."""
    for prefix in ["io.k8s.api.", "io.k8s.apimachinery.pkg."]:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


main()
