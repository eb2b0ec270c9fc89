#!/usr/bin/python3
"""Reads TensorBoard's event files, independently of what writes them: frames with checksums computed bit by bit, and
protobuf messages that are described here by hand, after tensorboard/compat/proto and tensorboard/plugins/hparams.

    read_events.py FILE…    prints the events as JSON, one object a line; ends with 1 where a frame is damaged
"""

import json
import math
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2
from google.protobuf.message_factory import MessageFactory

FIELD = descriptor_pb2.FieldDescriptorProto
# name: (number, type or message, repeated)
MESSAGES = {
    "Event": {"wall_time": (1, FIELD.TYPE_DOUBLE), "step": (2, FIELD.TYPE_INT64),
              "file_version": (3, FIELD.TYPE_STRING), "summary": (5, "Summary"), "session_log": (7, "SessionLog")},
    "Summary": {"value": (1, "SummaryValue", True)},
    "SummaryValue": {"tag": (1, FIELD.TYPE_STRING), "simple_value": (2, FIELD.TYPE_FLOAT), "tensor": (8, "Tensor"),
                     "metadata": (9, "SummaryMetadata")},
    "SummaryMetadata": {"plugin_data": (1, "PluginData")},
    "PluginData": {"plugin_name": (1, FIELD.TYPE_STRING), "content": (2, FIELD.TYPE_BYTES)},
    "Tensor": {"dtype": (1, FIELD.TYPE_INT32), "tensor_shape": (2, "Shape"),
               "string_val": (8, FIELD.TYPE_BYTES, True)},
    "Shape": {"dim": (2, "Dimension", True)},
    "Dimension": {"size": (1, FIELD.TYPE_INT64)},
    "SessionLog": {"status": (1, FIELD.TYPE_INT32)},
    "HParams": {"version": (1, FIELD.TYPE_INT32), "session_start_info": (3, "SessionStart"),
                "session_end_info": (4, "SessionEnd")},
    "SessionStart": {"hparams": (1, "HParam", True), "start_time_secs": (5, FIELD.TYPE_DOUBLE)},
    "HParam": {"key": (1, FIELD.TYPE_STRING), "value": (2, "google.protobuf.Value")},
    "SessionEnd": {"status": (1, FIELD.TYPE_INT32), "end_time_secs": (2, FIELD.TYPE_DOUBLE)},
}


def make_messages():
    file = descriptor_pb2.FileDescriptorProto(name="events.proto", package="by_hand", syntax="proto3",
                                              dependency=["google/protobuf/struct.proto"])
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, *repeated) in fields.items():
            entry = message.field.add(name=field, number=number,
                                      label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL)
            if isinstance(kind, str):
                entry.type = FIELD.TYPE_MESSAGE
                entry.type_name = f".{kind}" if "." in kind else f".by_hand.{kind}"
            else:
                entry.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    factory = MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(f"by_hand.{name}")) for name in MESSAGES}


TYPES = make_messages()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frames(data):
    """The whole records. A last one that is cut off is passed over, as TensorBoard does."""
    at = 0
    while at + 12 <= len(data):
        header, (check,) = data[at:at + 8], struct.unpack_from("<I", data, at + 8)
        if masked(header) != check:
            raise ValueError(f"the checksum of the length at byte {at} is wrong")
        (length,) = struct.unpack("<Q", header)
        record = data[at + 12:at + 12 + length]
        if at + 16 + length > len(data):
            return
        if masked(record) != struct.unpack_from("<I", data, at + 12 + length)[0]:
            raise ValueError(f"the checksum of the record at byte {at} is wrong")
        yield record
        at += 16 + length


def unknown_fields(message):
    """Whether it, or a message in it, has a field that is not described above."""
    if len(message.UnknownFields()) > 0:
        return True
    children = []
    for field, content in message.ListFields():
        if field.type == FIELD.TYPE_MESSAGE:
            children += list(content) if field.label == FIELD.LABEL_REPEATED else [content]
    return any(unknown_fields(child) for child in children)


def parse(kind, data):
    message = TYPES[kind]()
    message.ParseFromString(data)
    if unknown_fields(message):
        raise ValueError(f"a {kind} has fields that it should not have")
    return message


def plain(value):
    kind = value.WhichOneof("kind")
    return getattr(value, kind)


def describe_value(value):
    if not value.HasField("metadata"):
        return value.simple_value if math.isfinite(value.simple_value) else str(value.simple_value)
    plugin = value.metadata.plugin_data
    if plugin.plugin_name == "text":
        tensor = value.tensor
        if tensor.dtype != 7 or [d.size for d in tensor.tensor_shape.dim] != [1] or len(tensor.string_val) != 1:
            raise ValueError("a text is not one string")
        return tensor.string_val[0].decode()
    data = parse("HParams", plugin.content)
    if data.HasField("session_start_info"):
        return {parameter.key: plain(parameter.value) for parameter in data.session_start_info.hparams}
    return {"status": data.session_end_info.status}


def events(data):
    for number, record in enumerate(frames(data)):
        event = parse("Event", record)
        described = {"wall_time": event.wall_time, "step": event.step}
        if number == 0 and event.file_version != "brain.Event:2":
            raise ValueError(f"the first event has the version '{event.file_version}'")
        if event.file_version:
            described["version"] = event.file_version
        if event.HasField("session_log"):
            described["session"] = event.session_log.status
        if event.HasField("summary"):
            described["values"] = {value.tag: describe_value(value) for value in event.summary.value}
        yield described


def main():
    if crc32c(b"123456789") != 0xE3069283:  # the check value of this checksum
        sys.exit("crc32c() is wrong")
    for name in sys.argv[1:]:
        with open(name, "rb") as file:
            data = file.read()
        try:
            for event in events(data):
                print(json.dumps(event))
        except ValueError as error:
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
