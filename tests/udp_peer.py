#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""udp_peer.py - a client of an echo of datagrams on one interface

usage: udp_peer.py <interface> <address> <port> <largest>

Sends one datagram of each size from 1 byte, awaits each answer and compares all of
its bytes; and verifies the checksums of the frames that came, as they came.
"""
import random
import socket
import struct
import sys

TIMEOUT = 5.0


def total(data):
    """The ones' complement sum that a right checksum makes 0xffff."""
    data += b"\0" * (len(data) % 2)
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xffff) + (value >> 16)
    return value


def verify(packet):
    """Is it UDP with right checksums? Its payload, or why not."""
    if packet[0] >> 4 == 4:
        if total(packet[:20]) != 0xffff:
            raise ValueError("checksum of the IPv4 header")
        ends, udp = packet[12:20], packet[20:struct.unpack("!H", packet[2:4])[0]]
    else:
        ends, udp = packet[8:40], packet[40:40 + struct.unpack("!H", packet[4:6])[0]]
    if udp[6:8] == b"\0\0":
        raise ValueError("no checksum of the datagram")
    if total(ends + struct.pack("!HH", 17, len(udp)) + udp) != 0xffff:
        raise ValueError("checksum of the datagram")
    return udp[8:]


def is_answer(packet, port):
    """Not fragments, not another service's."""
    at = 20 if packet[0] >> 4 == 4 else 40
    proto = packet[9] if at == 20 else packet[6]
    return proto == 17 and packet[at:at + 2] == struct.pack("!H", port)


def captured(raw, port):
    """The next frame of the service."""
    while True:
        packet, (_, _, kind, _, _) = raw.recvfrom(65536)
        if kind == socket.PACKET_HOST and is_answer(packet, port):
            return packet


def main():
    name, address, port, largest = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    proto = 0x86dd if family == socket.AF_INET6 else 0x0800
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(proto))
    raw.bind((name, proto))
    raw.settimeout(TIMEOUT)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.settimeout(TIMEOUT)
    udp.connect((address, port))
    numbers = random.Random(largest)
    for size in range(1, largest + 1):
        data = numbers.randbytes(size)
        udp.send(data)
        if udp.recv(65536) != data:
            sys.exit(f"{size} bytes came back as others")
        try:
            if verify(captured(raw, port)) != data:
                sys.exit(f"the frame of {size} bytes has others")
        except ValueError as why:
            sys.exit(f"the frame of {size} bytes: wrong {why}")


main()
