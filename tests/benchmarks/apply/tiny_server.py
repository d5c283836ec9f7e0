"""The smallest server the role can run: answers every request with 200. Usage: tiny_server.py PORT."""

import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        connection, _address = listener.accept()
        with connection:
            connection.settimeout(5)
            connection.recv(65536)
            connection.sendall(ANSWER)
