"""A TCP relay on a port of its own that a test can hold up, cut and mend: what lies behind it may come and go."""
import contextlib
import socket
import threading


class Relay:
    """Listens on `port`. held(): connections stay open and no byte passes. cut(): they end, and new ones end at once. pass_on(): as a wire."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.passing, self.is_cut, self.sockets = threading.Event(), False, set()
        self.passing.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def hold(self):
        self.passing.clear()

    def cut(self):
        self.is_cut = True
        for s in list(self.sockets):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def pass_on(self, target=None):
        self.target, self.is_cut = target or self.target, False
        self.passing.set()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        self.passing.set()

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(here,), daemon=True).start()

    def serve(self, here):
        with here:
            self.passing.wait()
            if self.is_cut:
                return
            try:
                there = socket.create_connection(self.target, timeout=10)
            except OSError:
                return
            there.settimeout(None)
            with there:
                both = {here, there}
                self.sockets |= both
                back = threading.Thread(target=self.pump, args=(there, here), daemon=True)
                back.start()
                self.pump(here, there)
                back.join()
                self.sockets -= both

    def pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.passing.wait()
                target.sendall(data)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
