"""A TCP proxy that fails as networks and databases do."""

import contextlib
import socket
import threading


class Proxy:
    """Hands on what clients on `port` and the server on `backend` say, until told otherwise."""

    def __init__(self, backend):
        self.backend = backend
        self.was_cut = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._clients, self._servers = set(), set()
        # How many more messages of clients pass before the failure that is planned.
        self._left = None
        self._plan = None
        # What of an answer is let through, and to which question; then who waits for it.
        self._split = None
        self._asking = None
        self.port = 0
        self.listen()

    def listen(self):
        """Accepts connections, after `refuse` on the port of before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self):
        """Closes all connections and refuses new ones."""
        with contextlib.suppress(OSError):
            # Closing alone does not wake who waits in accept.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def hold(self):
        """Keeps all that is said, and new connections waiting."""
        self._flowing.clear()

    def release(self):
        """Hands on what was held."""
        self._flowing.set()

    def cut(self):
        """Closes all connections."""
        self._cut_clients()
        with self._lock:
            servers, self._servers = self._servers, set()
        for server in servers:
            close(server)

    def plan(self, messages, failure):
        """Fails after that many messages of clients: `before` the next is handed on, `after` it was,
        so that its answer is lost, or by `hold`."""
        with self._lock:
            self._left, self._plan, self.was_cut = messages, failure, False

    def split(self, question, length):
        """Hands on that many bytes of the answer to a message that holds the question, and then holds."""
        with self._lock:
            self._split, self.was_cut = (question, length), False

    def heal(self):
        """Forgets a plan, and releases what it held; says whether it came to pass."""
        with self._lock:
            self._left = self._split = self._asking = None
        self.release()
        return self.was_cut

    def close(self):
        self.release()
        self.refuse()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        self._flowing.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.backend))
        except OSError:
            close(client)
            return
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._clients.add(client)
            self._servers.add(server)
        threading.Thread(target=self._pump, args=(client, server, self._hand_on), daemon=True).start()
        self._pump(server, client, lambda message, client: self._hand_back(message, client, server))

    def _pump(self, source, target, hand_on):
        with contextlib.suppress(OSError):
            while message := source.recv(1 << 16):
                self._flowing.wait()
                hand_on(message, target)
            self._flowing.wait()
        with self._lock:
            self._clients -= {source, target}
            self._servers -= {source, target}
        close(source)
        close(target)

    def _hand_on(self, message, server):
        failure = None
        with self._lock:
            if self._left is not None:
                self._left -= 1
                if self._left < 0 and not self.was_cut:
                    self.was_cut, failure = True, self._plan
            if self._split is not None and self._split[0] in message:
                self._asking = server
        if failure == "hold":
            self.hold()
            self._flowing.wait()
        if failure == "before":
            self.cut()
            return
        if failure == "after":
            # First, so that no answer gets through.
            self._cut_clients()
        server.sendall(message)
        if failure == "after":
            self.cut()

    def _hand_back(self, message, client, server):
        first = b""
        with self._lock:
            if self._asking is server:
                _, length = self._split
                first, message = message[:length], message[length:]
                self._split = self._asking = None
                self.was_cut = True
        if first:
            client.sendall(first)
            self.hold()
            self._flowing.wait()
        client.sendall(message)

    def _cut_clients(self):
        with self._lock:
            clients, self._clients = self._clients, set()
        for client in clients:
            close(client)


def close(each):
    """Closes a socket, also for those who wait on it."""
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
