"""A web app with nothing but the standard library: shows which release and which instance answered."""

import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RELEASE = os.environ.get("MINIPAAS_RELEASE", "none")
GREETING = os.environ.get("GREETING", "hi")
INSTANCE = socket.gethostname()


class Server(ThreadingHTTPServer):
    # Connections that wait to be accepted; the default of 5 is soon full when replicas are few.
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    # Keeps connections open between requests; each response must then say its length.
    protocol_version = "HTTP/1.1"
    # An idle connection ends by itself after this many seconds.
    timeout = 60

    def do_GET(self):
        if self.path == "/up":
            self.answer(200, "ready\n")
        elif self.path == "/":
            self.answer(200, f"{GREETING} from release {RELEASE}, instance {INSTANCE}\n")
        else:
            self.answer(404, "no such page\n")

    # `answer` leaves the body out.
    do_HEAD = do_GET

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def main():
    server = Server(("", int(os.environ.get("PORT", "8000"))), Handler)
    # shutdown() waits for the loop below, so it must not run in the loop's own thread.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on port {server.server_port}")
    server.serve_forever(poll_interval=0.1)
    # No new requests come in a deploy: minipaas drains this instance before it asks it to stop.
    print("asked to stop, bye")


if __name__ == "__main__":
    main()
