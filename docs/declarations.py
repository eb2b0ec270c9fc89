"""What each public header declares, as directives of Breathe's, out of Doxygen's XML."""

import collections
import pathlib
import xml.etree.ElementTree


def read(directory: pathlib.Path):
    """By header (`swarmsync/sync/options.h`): its directives, in the order of the declarations."""
    found = collections.defaultdict(list)
    for file in sorted(directory.glob("*.xml")):
        for compound in xml.etree.ElementTree.parse(file).getroot().iter("compounddef"):
            name = compound.findtext("compoundname")
            in_namespace = name.count("::") == 1  # a class within another stands with that
            if compound.get("kind") in ("class", "struct") and compound.get("prot") == "public" and in_namespace:
                found[file_of(compound)].append((line_of(compound), of_class(compound.get("kind"), name)))
            elif compound.get("kind") == "namespace" and name.split("::")[0] == "swarmsync":
                for member in compound.iter("memberdef"):
                    found[file_of(member)].append((line_of(member), of_member(name, member)))
    return {header: [directive for _, directive in sorted(those)] for header, those in found.items()}


def file_of(element):
    return element.find("location").get("file")


def line_of(element):
    return int(element.find("location").get("line"))


def of_class(kind, name):
    return "\n".join([f".. doxygen{kind}:: {name}", "   :members:", "   :protected-members:", "   :undoc-members:", ""])


def of_member(namespace, member):
    name = f"{namespace}::{member.findtext('name')}"
    kind = member.get("kind")
    if kind == "function":
        types = ["".join(parameter.find("type").itertext()) for parameter in member.findall("param")]
        name += "(" + ", ".join(types) + ")"
    return f".. doxygen{kind}:: {name}\n"
