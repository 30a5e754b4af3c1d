"""What `packaging` says of requirements, version specifiers, versions and license expressions.

    packaging_verdicts.py write FILE    make texts and write them with their verdicts
    packaging_verdicts.py check FILE    say which verdicts of a file `packaging` does not share

A line is a kind (r requirement, s specifiers, v version, l license expression), a verdict
(+ accepted, - refused), a blank, and the text, in which \\t is a tab. Some texts are those of
the packages that are installed beside this script's Python, the others are made at random,
the same ones each time.
"""

import importlib.metadata
import random
import sys
import warnings

import packaging
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

EACH = 1100


def is_requirement(text):
    # An index accepts no addresses.
    return Requirement(text).url is None


JUDGES = {
    "r": (is_requirement, InvalidRequirement),
    "s": (SpecifierSet, InvalidSpecifier),
    "v": (Version, InvalidVersion),
    "l": (canonicalize_license_expression, InvalidLicenseExpression),
}


def verdict(kind, text):
    judge, error = JUDGES[kind]
    try:
        return "-" if judge(text) is False else "+"
    except error:
        return "-"


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *choices):
        return self.random.choice(choices)

    def maybe(self, text, chance=0.5):
        return text if self.random.random() < chance else ""

    def blank(self):
        return self.pick("", "", "", " ", "  ", "\t")

    def number(self):
        return self.pick("0", "1", "2", "3", "10", "08", "2024", "99999999999999999999", "")[:22]

    def separator(self):
        return self.pick("", "", ".", "-", "_", "..")

    def v(self):
        release = ".".join(self.number() or self.pick("1", "") for _ in range(self.random.randint(1, 4)))
        pre = self.separator() + self.pick("a", "alpha", "b", "BETA", "c", "rc", "pre", "preview", "x", "r") + self.separator() + self.number()
        post = self.pick(self.separator() + self.pick("post", "rev", "r", "Post") + self.separator() + self.number(), "-" + self.number())
        dev = self.separator() + self.pick("dev", "DEV") + self.separator() + self.number()
        local = "+" + self.pick("local", "a.1", "1-2", "a_b", "", "a..b", "A")
        text = self.maybe("v", 0.1) + self.maybe(self.number() + "!", 0.15) + release
        return text + self.maybe(pre, 0.3) + self.maybe(post, 0.2) + self.maybe(dev, 0.2) + self.maybe(local, 0.15)

    def clause(self):
        operator = self.pick("==", "!=", ">=", "<=", "<", ">", "~=", "===", ">=", "==", "=", "=>", "")
        version = self.pick(self.v(), self.v(), "3.8", "1.0", "2")
        return operator + self.blank() + version + self.maybe(".*", 0.15)

    def s(self):
        comma = lambda: self.blank() + self.pick(",", ",", ",", ",,", " ", ", ,") + self.blank()
        text = self.clause()
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 3))):
            text += comma() + self.clause()
        text += self.maybe(",", 0.15)
        return self.pick(text, text, text, text, "," + text, "(" + text + ")", "")

    def name(self):
        return self.pick("a", "requests", "zope.interface", "ruamel_yaml", "A-b", "a_", "a-", "_a", "-a", "0x", "a..b", "a b", "")

    def extras(self):
        name = self.name
        return self.pick("[]", f"[{name()}]", f"[{name()}, {name()}]", f"[{name()},]", f"[ {name()} ]", f"[{name()} {name()}]", "[", "[a")

    def string(self):
        quote = self.pick("'", '"')
        text = self.pick("3.8", "win32", "a b", "", "é", "\\x41", "\\", "\\u00e9", "\\q", "x'y", "\\'", "\\U00110000", "\\x4")
        return quote + text + self.pick(quote, quote, quote, quote, quote, "")

    def operand(self):
        names = ("python_version", "os_name", "sys_platform", "platform_machine", "extra", "extras", "dependency_groups", "os.name")
        others = ("platform.python_implementation", "python_implementation", "implementation_version", "colour", "platform_", "python_versions")
        return self.pick(self.string(), self.pick(*names), self.pick(*names), self.pick(*others))

    def term(self, depth):
        if depth < 3 and self.random.random() < 0.25:
            return self.pick("(", "( ", "(") + self.marker(depth + 1) + self.pick(")", " )", ")", ")", "")
        operator = self.pick("==", "!=", "<", ">=", "===", "~=", " in ", " not in ", "in", " not  in ", " notin ", "not in", "=")
        return self.operand() + self.blank() + operator + self.blank() + self.operand()

    def marker(self, depth=0):
        text = self.term(depth)
        for _ in range(self.random.choice((0, 0, 0, 1, 2))):
            text += self.blank() + self.pick(" and ", " or ", "and", "or", " AND ", "&") + self.blank() + self.term(depth)
        return text

    def r(self):
        specifiers = self.pick("", self.clause(), self.clause() + "," + self.clause(), self.s(), "(" + self.clause() + ")", "(" + self.s())
        text = self.blank() + self.name() + self.blank() + self.maybe(self.extras(), 0.3) + self.blank() + specifiers + self.blank()
        text += self.maybe(self.pick("; ", ";", " ;") + self.marker(), 0.5)
        return self.pick(text, text, text, text, text + "@ https://example.org/a.whl", text + "x")

    def l(self):
        name = lambda: self.pick("MIT", "mit", "Apache-2.0", "BSD-3-Clause", "GPL-2.0+", "LicenseRef-x.y", "LicenseRef-a_b", "Apache", "licenseref-", "2.0")
        after = lambda: self.pick("", "", "", " WITH Classpath-exception-2.0", " with LLVM-exception", " WITH MIT", " WITH")
        text = name() + after()
        for _ in range(self.random.choice((0, 1, 1, 2))):
            text += self.pick(" OR ", " AND ", " or ", " ", " AND NOT ") + self.pick("", "(", "") + name() + after() + self.pick("", ")", "")
        return self.pick(text, text, "(" + text + ")", "(" + text, text + ")", "")


def texts():
    for distribution in importlib.metadata.distributions():
        for text in distribution.requires or ():
            yield "r", text
            requirement = Requirement(text)
            if requirement.specifier:
                yield "s", str(requirement.specifier)
        if "Requires-Python" in distribution.metadata:
            yield "s", distribution.metadata["Requires-Python"]
        if "License-Expression" in distribution.metadata:
            yield "l", distribution.metadata["License-Expression"]
        yield "v", distribution.version
    maker = Maker(20200103)
    for _ in range(EACH):
        for kind in JUDGES:
            yield kind, getattr(maker, kind)()


def main():
    # Python only warns about unknown escapes.
    warnings.simplefilter("ignore")
    what, path = sys.argv[1:]
    if what == "write":
        lines = sorted({f"{kind}{verdict(kind, text)} " + text.replace("\t", "\\t") for kind, text in texts()})
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"# by packaging {packaging.__version__}; packaging_verdicts.py says how\n")
            file.writelines(line + "\n" for line in lines)
        return
    wrong = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#"):
                continue
            head, _, text = line.rstrip("\n").partition(" ")
            if verdict(head[0], text.replace("\\t", "\t")) != head[1]:
                print("packaging does not share:", line, end="")
                wrong += 1
    sys.exit(1 if wrong else 0)


main()
