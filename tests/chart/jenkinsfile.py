"""The blocks of a declarative Jenkinsfile: enough of Groovy for comments, strings of one line and nested braces."""
import re

TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|[{}()\[\]]|[^{}()\[\]'\"/]+|/|['\"]", re.S)
CLOSES = {"}": "{", ")": "(", "]": "["}


class Block:
    """`kind` is the word before the brace, `name` the string in its parentheses, `text` all that is between the braces."""

    def __init__(self, kind, name=""):
        self.kind, self.name, self.text, self.blocks = kind, name, "", []

    def children(self, kind):
        return [b for b in self.blocks if b.kind == kind]

    def child(self, kind):
        found = self.children(kind)
        if len(found) > 1:
            raise ValueError(f"{self.kind} {self.name}: {len(found)} of {kind}")
        return found[0] if found else None


def parse(source):
    """A block without kind that has the others. ValueError: a brace or a quote does not close."""
    top = Block("")
    open_blocks, brackets, before = [top], [], ""
    for m in TOKEN.finditer(source):
        token = m.group(0)
        if token.startswith(("//", "/*")):
            continue
        if token in ("'", '"'):
            raise ValueError(f"a string that does not end: {source[m.start():m.start() + 60]!r}")
        if token in ("{", "(", "["):
            brackets.append(token)
        elif token in CLOSES:
            if not brackets or brackets.pop() != CLOSES[token]:
                raise ValueError(f"{token} closes nothing: {source[max(0, m.start() - 60):m.end()]!r}")
        if token == "{":
            head = re.search(r"(\w+)\s*(?:\(\s*'([^']*)'\s*\))?\s*$", before)
            block = Block(head.group(1) if head else "", head and head.group(2) or "")
            open_blocks[-1].blocks.append(block)
            open_blocks.append(block)
            before = ""
            continue
        if token == "}":
            done = open_blocks.pop()
            open_blocks[-1].text += "{" + done.text + "}"
            before = ""
            continue
        open_blocks[-1].text += token
        before += token
    if brackets:
        raise ValueError(f"{len(brackets)} brackets do not close")
    return top
