#!/usr/bin/env python3
"""Every command and flag that `berth … --help` names is in the completion of bash and zsh, and in the man page.

  help_test.py BERTH
"""
import os, re, shutil, subprocess, sys, tempfile

berth = os.path.abspath(sys.argv[1])


def output(*argv, **more):
    done = subprocess.run(argv, text=True, capture_output=True, timeout=60, **more)
    if done.returncode != 0 or done.stderr:
        raise SystemExit(f"{argv}: {done.returncode} {done.stdout} {done.stderr}")
    return done.stdout


def helped(path):
    """(verbs, flags) of `berth PATH --help`."""
    text = output(berth, *path, "--help")
    section, verbs, flags = "", [], []
    for line in text.splitlines():
        if re.match(r"^\S.*:$", line):
            section = line
        elif section == "Subcommands:" and (m := re.match(r"^  ([a-z][a-z0-9-]*)(\s|$)", line)):
            verbs.append(m[1])
        elif section == "Options:" and (m := re.match(r"^  (-\S+)", line)):
            flags += re.findall(r"(?<![\w-])--?[a-z][a-z-]*", m[1])
    return verbs, flags


def tree():
    """path -> (verbs, flags), of all commands."""
    out, todo = {}, [()]
    while todo:
        path = todo.pop()
        out[path] = helped(path)
        todo += [(*path, v) for v in out[path][0]]
    return out


# Prints what is offered for the last of the words. For zsh its own functions are replaced by ones that print.
BASH = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _berth; printf "%s\\n" "${COMPREPLY[@]}"'
ZSH = ('compdef() { }; _describe() { print -l -- "${(@)${(@P)4}%%:*}"; }; compadd() { shift; print -l -- "$@"; }; _files() { print -- FILES; };'
       ' source "$1"; shift; words=("$@"); CURRENT=$#; _berth')


def offered(shell, script, words):
    flags = {"bash": ["--norc", "-c", BASH], "zsh": ["-f", "-c", ZSH]}[shell]
    return set(output(shell, *flags, shell, script, *words).split())


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def completion(shell, commands):
    if not shutil.which(shell):
        return print(f"no {shell} here")
    with tempfile.NamedTemporaryFile("w", suffix="." + shell) as f:
        f.write(output(berth, "completion", shell))
        f.flush()
        output(shell, "-n", f.name)
        if shell == "bash" and shutil.which("shellcheck"):
            output("shellcheck", f.name)
        for path, (verbs, flags) in commands.items():
            got = offered(shell, f.name, ["berth", *path, ""])
            wanted = {*verbs, *flags}
            check(wanted <= got, f"{shell}: berth {' '.join(path)}: {sorted(wanted - got)} not offered")
        check(offered(shell, f.name, ["berth", "serve", "--log-format", ""]) == {"ecs", "text"}, f"{shell}: values of --log-format")
        check({"bash", "zsh"} <= offered(shell, f.name, ["berth", "completion", ""]), f"{shell}: values of an argument")
        check(os.path.basename(f.name) in "".join(offered(shell, f.name, ["berth", "serve", "--config", f.name[:-4] if shell == "bash" else ""])) or shell == "zsh"
              and "FILES" in offered(shell, f.name, ["berth", "serve", "--config", ""]), f"{shell}: files of --config")
        check("--tenant" in offered(shell, f.name, ["berth", "ctl", "--admin", "status", "devices", ""]), f"{shell}: the value of an option is no command")
        check("--token-file" in offered(shell, f.name, ["berth", "ctl", "drain", ""]), f"{shell}: options of ctl behind its verb")
        check("engine-child" not in offered(shell, f.name, ["berth", ""]), f"{shell}: a hidden command is offered")


def manual(commands):
    page = output(berth, "manual")
    for value in ("redis://", "text or ecs", "true: those", "disk: sync", "store.directory of"):  # no capital: it is typed so
        check("\n" + value in page.replace("\\-", "-"), f"the manual does not begin with {value!r}")
    check("\nThe least level" in page and "\nHOST:PORT" in page, "sentences begin with a capital")
    text = page.replace("\\-", "-")
    for path, (verbs, flags) in commands.items():
        if path:
            check(f"\n.SS berth {' '.join(path)}\n" in text, f"the man page has no berth {' '.join(path)}")
            part = text.split(f"\n.SS berth {' '.join(path)}\n")[1].split("\n.SS ")[0].split("\n.SH ")[0]
        else:
            part = text
        for word in (*(verbs if path else ()), *flags):
            check(f"\\fB{word}\\fR" in part, f"the man page of berth {' '.join(path)} has no {word}")
    if shutil.which("mandoc"):
        output("mandoc", "-T", "lint", "-W", "warning,stop", input=page)
    if shutil.which("groff"):
        output("groff", "-man", "-ww", "-z", input=page)


def main():
    commands = tree()
    check(len(commands) > 15 and ("ctl", "registry", "export") in commands, f"the help is not understood: {sorted(commands)}")
    for shell in ("bash", "zsh"):
        completion(shell, commands)
    manual(commands)
    print(f"{len(commands)} commands, {sum(len(f) for _, f in commands.values())} flags")


main()
