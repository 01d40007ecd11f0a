"""Reads a record file with nothing but Python's standard library, as another program might.

Prints one line per value: table, row, element, name, place, type, value; names and values in hex.
"""
import base64
import struct
import sys
import xml.etree.ElementTree as ElementTree

NS = "{urn:cloud-folder-sync:1}"


def name(element, attribute):
    encoded = element.get(attribute + "-base64")
    if encoded is not None:
        return base64.b64decode(encoded).hex()
    return element.get(attribute).encode("utf-8").hex()


def value(element):
    text = element.text or ""
    kind = element.get("type", "text")
    if element.get("sha256") is not None:
        return element.get("sha256") + ":" + element.get("size")
    if kind == "text":
        return base64.b64decode(text).hex() if element.get("enc") == "base64" else text.encode("utf-8").hex()
    if kind == "null":
        return ""
    if kind == "integer":
        return str(int(text))
    if kind == "real":
        return struct.pack(">d", float(text)).hex()
    if kind == "blob":
        return base64.b64decode(text).hex()
    if kind == "ref":
        return ":".join([name(element, "table"), text, element.get("record", ""), element.get("owner", "")])
    raise ValueError(kind)


root = ElementTree.parse(sys.argv[1]).getroot()
assert root.tag == NS + "record", root.tag
sites = {site.get("n"): site.get("id") for site in root.findall(NS + "site")}
for row in root.findall(NS + "row"):
    for field in row:
        if field.tag in (NS + "f", NS + "was"):
            place = sites[field.get("place")] if field.get("place") else ""
            print("\t".join([name(row, "table"), row.get("id"), field.tag[len(NS):], name(field, "n"), place, field.get("type", "text"), value(field)]))
