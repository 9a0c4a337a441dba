"""The worker process: finds something to do every few seconds."""

import signal
import threading

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())

job = 0
while not stop.wait(5):
    job += 1
    print(f"job {job} done")
print("asked to stop, bye")
