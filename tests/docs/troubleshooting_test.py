#!/usr/bin/python3
"""Holds docs/troubleshooting.md to the error lines that the sources can end with, both ways.

    troubleshooting_test.py SOURCE_DIRECTORY [--list]

Each message of src/, include/, python/ and tools/ must stand on the page, and each pattern of the page must still be a
message. A pattern is an inline code in the first column of a table; "…" stands for what varies. Prints a line for each
that is missing, with file and line, and ends with 1 if there is any. --list prints all messages.

A message is what a constructor of one of our errors gets: literals are taken as they are, placeholders of fmt::format
and everything else are "…". Both sides of a conditional, and all values that a local variable is given before it is
added, make messages of their own. What that does not see is listed below, with the reason.
"""

import ast
import itertools
import pathlib
import re
import sys

PAGE = "docs/troubleshooting.md"
ANY = "…"
DIRECTORIES = ("src", "include", "python", "tools")
LEAST_LETTERS = 4  # of a message that says something by itself

# Which argument of a call is a message. Classes that derive from these are found by themselves.
CONSTRUCTORS = {"UsageError": 0, "DataError": 0, "RunError": 0, "CommError": 0, "Error": 1, "PrintError": 0,
                "SayError": 0, "runtime_error": 0, "TORCH_CHECK": 1}

# Functions that get a part of a line which says what is wrong: (file, name, argument). The part is looked for on the
# page by itself, for a line is known by it.
REASONS = {
    ("src/params/weights.cc", "fail", 0),           # "FILE holds another model: …"
    ("src/data/gzip.cc", "Fail", 0),                # "FILE: damaged gzip: …"
    ("src/comm/thread_world.cc", "Abort", 0),       # what all ranks throw
    ("src/base/json.h", "create", 1),               # what callers put behind the name of a file
    ("src/train/checkpointer.cc", "push_back", 0),  # why a checkpoint cannot be used
    ("src/launch/membership.cc", "Lose", 1),        # why a worker is lost
}
# Objects of this type are such functions: "FILE is not a usable model file: …".
REASON_TYPE = "Complaint"
# Functions that return such a part.
RETURNED_REASONS = {("src/cli/line_of.h", "LineOf"), ("src/train/device.cc", "WhyNotOnGpus"),
                    ("src/train/replicas.cc", "DescribeMismatch")}

# A placeholder whose values are worth a message each, because they say what has happened: (file, expression) and where
# its values come from: the results of a function, the arguments of a function, or a local variable.
EXPANDED = {
    ("src/comm/shared_memory.cc", "reason()"): ("results of", "reason"),
    ("src/launch/supervisor.cc", "HowItWasKilled(worker)"): ("results of", "HowItWasKilled"),
    ("src/launch/supervisor.cc", "reason"): ("variable", "reason"),
    ("src/launch/supervisor.cc", "who"): ("variable", "who"),
    ("src/launch/supervisor.cc", "log"): ("variable", "log"),
    ("src/cli/arguments.cc", "help"): ("variable", "help"),
    ("src/train/run_worker.cc", "kept"): ("variable", "kept"),
    ("src/base/file.cc", "what"): ("arguments of", "Fail"),
}

# Messages that are only a variable: (file, message), and why there is nothing to extract.
BY_HAND = {
    ("src/comm/thread_world.cc", "…"): "the first failure of the world, made in Barrier() and by Abort()",
    ("src/data/archive_source.cc", "…"): "what the archive could not be had for, said again for its other files",
    ("src/data/http_source.cc", "…"): "libcurl's own words",
    ("src/comm/mpi/mpi_communicator.cc", "…"): "MPI's own words",
    ("src/launch/supervisor.cc", "…"): "the last word of a worker, which is one of the other messages",
    ("src/cli/compare_command.cc", "…"): "CLI11's own words about a value, as train says them",
    ("src/cli/command_line.cc", "…"): "what was thrown: one of the other messages, or libtorch's own words",
    ("src/comm/store_client.cc", "…"): "the system's own words",
    ("src/report/run_report.cc", "…: …"): "a file's name and nlohmann's own words",
    ("src/train/config.cc", "--…"): "the dashes before what Validate() of an option says",
    ("src/cli/train_flags.cc", "…: …"): "the flag before what a parser says of its value",
    ("python/_swarmsync.cc", "…"): "what FromJsonText() says, as another class",
}

# Messages that are no arguments of a constructor: (file, name of the variable that is given them).
VARIABLES = {("src/comm/thread_world.cc", "failure"), ("src/data/catalog.cc", "reason")}

NOT_READ = {"include/swarmsync/base/error.h"}  # it defines the constructors

TOKEN = re.compile(r"""
    (?P<space>\s+ | //[^\n]* | /\*.*?\*/ | ^[ \t]*\#(?:[^\n\\]|\\.)*)
  | (?P<raw>(?:u8|[uUL])?R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)")
  | (?P<text>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*")
  | (?P<char>(?:u8|[uUL])?'(?:[^'\\\n]|\\.)+')
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[\w.']|[eE][+-])*)
  | (?P<sign>::|->|==|!=|<=|>=|&&|\|\||\+=|-=|\+\+|--|.)
""", re.X | re.S | re.M)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
OPEN, CLOSE = "([{", ")]}"


class Token:
    def __init__(self, kind, text, line):
        self.kind, self.text, self.line = kind, text, line

    def value(self):
        if self.kind == "raw":
            return re.fullmatch(r'.*?"([^(]*)\((.*)\)\1"', self.text, re.S).group(2)
        inner = self.text[self.text.index('"') + 1:-1]
        return re.sub(r"\\(x[0-9a-fA-F]+|.)", lambda m: ESCAPES.get(m[1], ANY if m[1][0] == "x" else m[1]), inner)


def tokens_of(text):
    tokens, line = [], 1
    for found in TOKEN.finditer(text):
        kind = found.lastgroup if found.lastgroup != "mark" else "raw"
        if kind != "space":
            tokens.append(Token("text" if kind == "text" else kind, found.group(), line))
        line += found.group().count("\n")
    return tokens


def end_of(tokens, at):
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i].text in OPEN) - (tokens[i].text in CLOSE) if tokens[i].kind == "sign" else 0
        if depth == 0:
            return i + 1
    return len(tokens)


def split(tokens, sign):
    parts, depth = [[]], 0
    for token in tokens:
        if token.kind == "sign":
            depth += (token.text in OPEN) - (token.text in CLOSE)
            if depth == 0 and token.text == sign:
                parts.append([])
                continue
        parts[-1].append(token)
    return parts


def merged(text):
    return re.sub(f"{ANY}(?:{ANY})+", ANY, text)


def filled(pattern, arguments):
    """The texts of a format string, where arguments are lists of texts."""
    pieces = re.findall(r"\{\{|\}\}|\{[^{}]*\}|[^{}]+", pattern)
    texts, following = [[]], 0
    for piece in pieces:
        if piece in ("{{", "}}"):
            choices = [piece[0]]
        elif piece[0] == "{":
            number = re.match(r"\{(\d+)", piece)
            index = int(number[1]) if number else following
            following += 1
            choices = arguments[index] if index < len(arguments) else [ANY]
        else:
            choices = [piece]
        texts = [text + [choice] for text in texts for choice in choices]
    return ["".join(text) for text in texts]


class Source:
    """A C++ file."""

    def __init__(self, name, text, all_sources):
        self.name, self.all = name, all_sources
        self.tokens = tokens_of(text)

    def arguments(self, at):
        """Of the call whose bracket is at `at`."""
        inner = self.tokens[at + 1:end_of(self.tokens, at) - 1]
        return split(inner, ",") if inner else []

    def calls(self, name):
        """Places of the brackets of its calls, and of what looks like one."""
        for i, token in enumerate(self.tokens[:-1]):
            if token.kind == "name" and token.text == name and self.tokens[i + 1].text in ("(", "{"):
                yield i + 1

    def scope(self, at):
        """Where the function begins in which `at` is."""
        begin, depth = at, 0
        for i in range(at - 1, -1, -1):
            text = self.tokens[i].text if self.tokens[i].kind == "sign" else ""
            depth += (text == "}") - (text == "{")
            if depth < 0:
                depth = 0
                head = i
                while head > 0 and self.tokens[head - 1].text not in (";", "}", "{"):
                    head -= 1
                if {token.text for token in self.tokens[head:i]} & {"namespace", "class", "struct", "enum"}:
                    return begin
                begin = i
        return begin

    def values(self, name, at):
        """Expressions that a local variable is given before `at`; none for a parameter, or for what grows."""
        found = []
        begin = self.scope(at)
        for i in range(begin, at):
            if self.tokens[i].kind != "name" or self.tokens[i].text != name or self.tokens[i - 1].text in (".", "->"):
                continue
            if self.tokens[i + 1].text == "+=":
                return []
            if self.tokens[i + 1].text == "=":
                found.append((split(self.tokens[i + 2:at], ";")[0], i))
        return found

    def line_of(self, name):
        return next((token.line for token in self.tokens if token.text == name), 0)

    def results(self, name):
        """What a function or lambda of this file returns."""
        for i, token in enumerate(self.tokens[:-1]):
            if token.kind != "name" or token.text != name:
                continue
            at = i + 1
            while at < len(self.tokens) and self.tokens[at].text not in ("{", ";"):
                at = end_of(self.tokens, at) if self.tokens[at].text in ("(", "[") else at + 1
            if at < len(self.tokens) and self.tokens[at].text == "{":
                end = end_of(self.tokens, at)
                texts = []
                for k in range(at, end):
                    if self.tokens[k].text == "return":
                        texts += self.texts(split(self.tokens[k + 1:end], ";")[0], k)
                if texts:
                    return texts
        return [ANY]

    def placeholder(self, tokens, at):
        expression = "".join(token.text for token in tokens)
        kind, name = EXPANDED.get((self.name, expression), (None, None))
        if kind == "results of":
            return self.results(name)
        if kind == "variable":
            return [text for value, i in self.values(name, at) for text in self.texts(value, i)]
        if kind == "arguments of":
            return [self.arguments(i)[0][0].value() for i in self.calls(name)
                    if self.arguments(i) and self.arguments(i)[0][0].kind == "text"]
        question = split(tokens, "?")
        sides = split(question[1], ":") if len(question) == 2 else []
        if len(sides) == 2 and all(len(side) == 1 and side[0].kind == "text" and side[0].value() for side in sides):
            return [side[0].value() for side in sides]
        return self.all.constants.get(expression, [ANY])

    def texts(self, tokens, at):
        """All texts that an expression at `at` can be."""
        if not tokens:
            return [""]
        if tokens[0].text == "(" and end_of(tokens, 0) == len(tokens):
            return self.texts(tokens[1:-1], at)
        question = split(tokens, "?")
        if len(question) > 1:
            rest = [token for part in question[1:] for token in part + [Token("sign", "?", 0)]][:-1]
            one, *other = split(rest, ":")
            return self.texts(one, at) + [text for part in other for text in self.texts(part, at)]
        parts = split(tokens, "+")
        if len(parts) > 1:
            return ["".join(texts) for texts in itertools.product(*(self.texts(part, at) for part in parts))]
        if all(token.kind in ("text", "raw") for token in tokens):
            return ["".join(token.value() for token in tokens)]
        names = [token.text for token in tokens if token.text not in ("std", "fmt", "::")]
        if len(names) == 1 and tokens[-1].kind == "name":
            if names[0] in self.all.constants:
                return self.all.constants[names[0]]
            values = [text for value, i in self.values(names[0], at) for text in self.texts(value, i)]
            return values or [ANY]
        bracket = next((i for i, token in enumerate(tokens) if token.text in ("(", "{")), None)
        if bracket is not None and end_of(tokens, bracket) == len(tokens):
            arguments = split(tokens[bracket + 1:-1], ",")
            if names[0] == "format":
                return [text for pattern in self.texts(arguments[0], at)
                        for text in filled(pattern, [self.placeholder(one, at) for one in arguments[1:]])]
            if names[0] == "string" and len(arguments) == 1:
                return self.texts(arguments[0], at)
            if names[0] == "UnknownName" and tokens[bracket - 1].text == names[0]:
                whats = self.texts(arguments[0], at)  # the first placeholder
                return [text.replace(ANY, what, 1) for text in self.all.unknown_name for what in whats]
        return [ANY]

    def is_declaration(self, at):
        """Whether the bracket at `at` has parameters in it: of a constructor or a function that is declared."""
        inner = self.arguments(at)
        words = [token.text for token in inner[0]] if inner else []
        return self.tokens[at - 2].text in ("explicit", "public", "->") or (
            len(words) > 1 and words[0] == "const" and words[-2] in ("&", "*"))

    def messages(self):
        """(line, text) of each."""
        for name, index in self.all.constructors.items():
            for at in self.calls(name):
                if self.is_declaration(at):
                    continue
                arguments = self.arguments(at)
                if len(arguments) > index:
                    for text in self.texts(arguments[index], at):
                        yield self.tokens[at].line, text
        yield from self.reasons()
        for file, name in RETURNED_REASONS:
            if file == self.name:
                yield from ((self.line_of(name), text) for text in self.results(name) if text.strip(ANY))
        for file, name in VARIABLES:
            if file != self.name:
                continue
            for i, token in enumerate(self.tokens[:-1]):
                if token.text == name and self.tokens[i + 1].text == "=":
                    for text in self.texts(split(self.tokens[i + 2:], ";")[0], i):
                        if text.strip(ANY):
                            yield token.line, text

    def reasons(self):
        wanted = {(name, index) for file, name, index in REASONS if file == self.name}
        for at in self.calls(REASON_TYPE):  # made and called at once
            behind = end_of(self.tokens, at)
            if self.tokens[behind].text == "(" and not self.is_declaration(at):
                yield from self.reason(behind, 0)
        if any(token.text == REASON_TYPE for token in self.tokens):
            wanted |= {(name, 0) for name in self.all.reason_names}
        for name, index in sorted(wanted):
            for at in self.calls(name):
                yield from self.reason(at, index)

    def reason(self, at, index):
        arguments = self.arguments(at)
        if self.tokens[at].text != "(" or len(arguments) <= index or not arguments[index]:
            return
        texts = self.texts(arguments[index], at)
        if len(arguments) > index + 1:  # what it is formatted with
            texts = [text for one in texts for text in filled(one, [])]
        for text in texts:
            if text.strip(ANY):
                yield self.tokens[at].line, text


class Python:
    def __init__(self, name, text):
        self.name, self.tree = name, ast.parse(text)

    def texts(self, node):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        if isinstance(node, ast.JoinedStr):
            return ["".join(part.value if isinstance(part, ast.Constant) else ANY for part in node.values)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return [a + b for a in self.texts(node.left) for b in self.texts(node.right)]
        if isinstance(node, ast.IfExp):
            return self.texts(node.body) + self.texts(node.orelse)
        return [ANY]

    def messages(self):
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                for text in self.texts(node.exc.args[0]):
                    yield node.lineno, text


class Sources:
    def __init__(self, files):
        """files: {name: text}"""
        self.constants, self.unknown_name, self.constructors = {}, [ANY], dict(CONSTRUCTORS)
        self.files = [Python(name, text) if name.endswith(".py") else Source(name, text, self)
                      for name, text in sorted(files.items())]
        cpp = [source for source in self.files if isinstance(source, Source)]
        for text in files.values():
            for name, base in re.findall(r"class (\w+)(?: final)? : public (\w+)", text):
                if base in CONSTRUCTORS and name != "Error":
                    self.constructors.setdefault(name, CONSTRUCTORS[base] if base != "Error" else 0)
        for source in cpp:
            for i, token in enumerate(source.tokens[:-2]):
                if re.fullmatch(r"k[A-Z]\w*", token.text) and source.tokens[i + 1].text == "=":
                    value = split(source.tokens[i + 2:], ";")[0]
                    if value and all(one.kind in ("text", "raw") for one in value):
                        self.constants.setdefault(token.text, set()).update(source.texts(value, i))
        self.constants = {name: list(texts) for name, texts in self.constants.items() if len(texts) == 1}
        self.reason_names = {name for text in files.values() for name in re.findall(REASON_TYPE + r"&? (\w+)", text)
                             if name != "operator"}
        for source in cpp:
            if source.name == "src/base/names.cc":
                self.unknown_name = source.results("UnknownName")

    def messages(self):
        """{text: [place, …]}"""
        found = {}
        for source in self.files:
            for line, text in source.messages():
                if text and source.name not in NOT_READ:
                    found.setdefault(merged(" ".join(text.split())), []).append((source.name, line))
        return found


def says_something(text):
    return len(re.findall(r"[A-Za-z]", text)) >= LEAST_LETTERS


def patterns_of(page):
    """{pattern: line of the page}"""
    patterns = {}
    for number, line in enumerate(page.split("\n"), 1):
        cells = re.split(r"(?<!\\)\|", line)
        if not line.startswith("|") or len(cells) < 4 or set(cells[1].strip()) <= set("-: "):
            continue
        for _, code in re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", cells[1]):
            patterns.setdefault(merged(code.strip().replace("\\|", "|")), number)
    return patterns


def complaints(found, page, by_hand=BY_HAND):
    patterns = patterns_of(page)
    lines = []
    for text, places in found.items():
        place = f"{places[0][0]}:{places[0][1]}"
        if not says_something(text):
            for file, line in places:
                if (file, text) not in by_hand:
                    lines.append(f"{file}:{line}: the message is only a variable, {text!r}; list in this test what it "
                                 "can be")
        elif text not in patterns:
            lines.append(f"{place}: not in {PAGE}: `{text}`")
    for pattern, line in patterns.items():
        if pattern not in found:
            lines.append(f"{PAGE}:{line}: no error says this: `{pattern}`")
    for file, text in by_hand:
        if file not in [place[0] for place in found.get(text, [])]:
            lines.append(f"tests/docs/troubleshooting_test.py: BY_HAND has {text!r} of {file}, which is no message")
    return lines


def check_myself():
    """That a new error without a row is seen, and a row without an error."""
    source = r"""
      constexpr const char* kWay = "by --way";
      class Lost : public CommError {};
      void F(int n) {
        std::string end = "do nothing";
        if (n > 1) end = fmt::format("do {}", n);
        // throw DataError("a comment")
        if (n == 2) throw UsageError(fmt::format("{} is not {{2}} "
                                                 "but {:g} {}", n, x(1, "a)"), kWay) + "; " + end);
        if (n == 3) throw Lost(n > 0 ? "one \"side\"" : "other side");
        throw error == 1 ? RunError(what) : RunError(std::string("said: ") + what());
      }"""
    files = {"src/made_up.cc": source, "python/made_up.py": "raise ValueError(f'{a} for ' + ('me' if c else 'you'))"}
    rows = ["`… is not {2} but … by --way; do nothing` `… is not {2} but … by --way; do …` | w |", "`other side` | w |",
            "`said: …` | w |", "`… for me`, ``… for you`` | w |"]
    right = "\n".join(["| line | why |", "| --- | --- |"] + ["| " + row for row in rows])
    variable = "src/made_up.cc:11: the message is only a variable"
    expected = {
        right + '\n| `one "side"` | w |': [variable],
        right: [variable, 'src/made_up.cc:10: not in docs/troubleshooting.md: `one "side"`'],
        right + '\n| `one "side"`, `two` | w |': [variable, "docs/troubleshooting.md:7: no error says this: `two`"],
        "": [variable] + ["src/made_up.cc"] * 5 + ["python/made_up.py"] * 2,
    }
    for page, begins in expected.items():
        lines = complaints(Sources(files).messages(), page, by_hand={})
        if len(lines) != len(begins) or not all(any(line.startswith(begin) for line in lines) for begin in begins):
            print(f"this test does not see what it should: {lines}, expected {begins}")
            return False
    return True


def main():
    root = pathlib.Path(sys.argv[1])
    paths = [path for directory in DIRECTORIES for path in (root / directory).rglob("*")
             if path.suffix in (".cc", ".h", ".cu", ".py")]
    files = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    found = Sources(files).messages()
    if sys.argv[2:] == ["--list"]:
        for text, places in sorted(found.items(), key=lambda item: item[1][0]):
            print(f"{places[0][0]}:{places[0][1]}: {text}")
        return 0
    page = root / PAGE
    lines = complaints(found, page.read_text(encoding="utf-8") if page.exists() else "")
    explained = sum(map(says_something, found))
    print("\n".join(sorted(lines)) if lines else f"{explained} messages are explained")
    return 0 if check_myself() and not lines else 1


if __name__ == "__main__":
    sys.exit(main())
