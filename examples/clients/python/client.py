#!/usr/bin/python3
"""Asks a Tidemark server for features: msgpack-RPC over TCP, nothing but msgpack needed.

    client.py HOST:PORT --service credit_scoring -e zipcode=76104 -e dob_ssn=19530219_5179
    client.py HOST:PORT -f driver_hourly_stats:conv_rate -e driver_id=1001,1002 --now 2021-08-25
    client.py HOST:PORT --service trip_pricing -e driver_id=1001,1002 -r distance_km=3.2,8

Values are numbers, true or false where they look like that, and null where nothing stands; write
'dob_ssn="123"' for text that looks like a number.
"""

import argparse
import datetime
import itertools
import socket
import sys

import msgpack


class ServerError(Exception):
    """What the server answers: a stable code, a message, and details such as the place."""

    def __init__(self, code, message, details):
        where = details.get("where")
        super().__init__(f"{where}: {message}" if where else message)
        self.code = code
        self.details = details


class Client:
    """One connection. Requests are answered by id, so many may be under way at once."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise OSError(f'address "{address}": expected HOST:PORT')
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        self.unpacker = msgpack.Unpacker(raw=False)
        self.ids = itertools.count()

    def call(self, method, **params):
        wanted = next(self.ids)
        self.socket.sendall(msgpack.packb([0, wanted, method, [params]]))
        while True:
            for _, answered, error, result in self.unpacker:
                if answered == wanted:
                    if error:
                        raise ServerError(*error)
                    return result
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.unpacker.feed(data)


WORDS = {"true": True, "false": False, "": None}


def parse_value(text):
    if text in WORDS:
        return WORDS[text]
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text.replace("_", "?"))  # Python reads 1_000 as a number
        except ValueError:
            pass
    return text


def parse_columns(arguments):
    return {
        name: [parse_value(value) for value in values.split(",")]
        for name, values in (argument.split("=", 1) for argument in arguments)
    }


def parse_time(text):
    time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.timezone.utc)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (time - epoch) // datetime.timedelta(microseconds=1)


def print_value(value):
    for word, meaning in WORDS.items():
        if value is meaning:
            return word or "null"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def print_table(given, answer):
    """One line per feature, one column per row: readable for wide services."""
    lines = [[name, *map(print_value, values)] for name, values in given.items()]
    for column, name in enumerate(answer["names"]):
        cells = [name]
        for row, statuses in zip(answer["rows"], answer["statuses"]):
            present = statuses[column] == "PRESENT"
            cells.append(print_value(row[column]) if present else statuses[column])
        lines.append(cells)
    widths = [max(map(len, cells)) for cells in itertools.zip_longest(*lines, fillvalue="")]
    for cells in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="HOST:PORT of the server")
    parser.add_argument("--service", help="a feature service")
    parser.add_argument("-f", "--feature", action="append", help="view:feature; may be repeated")
    parser.add_argument("-e", "--entity", action="append", default=[], metavar="KEY=V[,V...]")
    parser.add_argument("-r", "--request", action="append", default=[], metavar="NAME=V[,V...]",
                        help="what on-demand views take from the request")
    parser.add_argument("--now", help="the time to judge ages at; default: now")
    options = parser.parse_args()

    for argument in options.entity + options.request:
        if "=" not in argument:
            parser.error(f'"{argument}": expected NAME=VALUE[,VALUE...]')
    params = {
        "entities": parse_columns(options.entity),
        "request": parse_columns(options.request),
        "include": ["statuses"],
    }
    if options.service:
        params["service"] = options.service
    if options.feature:
        params["features"] = options.feature
    try:
        if options.now:
            params["now"] = parse_time(options.now)
        answer = Client(options.address).call("get_online_features", **params)
    except (ServerError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print_table({**params["entities"], **params["request"]}, answer)


if __name__ == "__main__":
    main()
