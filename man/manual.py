#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual, from what is written already: the pages of docs/ by lowdown(1), the configuration's examples, and what the verbs say to
--help. Nothing is said twice, so nothing can say two things.

    manual.py --list                                         the files it makes
    manual.py --sources                                      what they are made of
    manual.py --date DATE --version VERSION TOOL DIRECTORY   makes them; TOOL: the program audit-relay
"""

import argparse
import datetime
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "audit-relay"

# Name and section, what it is in one line, and what it is made of: a page of docs/ or of a plugin, an example of conf/, or the verbs.
PAGES = [
    ("audit-relay", 1, "carries Linux audit records: the command for people", "--help"),
    ("audit-relay-log", 1, "records from stores, by time, node, type, key or serial", "docs/log.md"),
    ("audit-relay-verify", 1, "whether stores are whole, and what is missing in them", "docs/verify.md"),
    ("audit-relay-doctor", 1, "what is wrong on this host, and what to type", "docs/doctor.md"),
    ("audit-relay-import", 1, "from auditd and audisp-remote: configuration, and what became of each key", "docs/migration.md"),
    ("audit-relay-dispatcher.conf", 5, "configuration of the dispatcher", "conf/dispatcher.conf"),
    ("audit-relay-remote.conf", 5, "configuration of remote, which keeps and sends records", "conf/remote.conf"),
    ("audit-relay-aggregator.conf", 5, "configuration of the aggregator, the collector", "conf/aggregator.conf"),
    ("audit-relay-peers.d", 5, "what the aggregator knows of single clients", "docs/peers.md"),
    ("audit-relay-store", 5, "format of the store: text and index files", "docs/store.md"),
    ("audit-relay-ring", 5, "format of the dispatcher's ring file", "docs/ring.md"),
    ("audit-relay-protocol", 7, "the link protocol, to the byte", "docs/protocol.md"),
    ("audit-relay-stock-protocol", 7, "the protocol of audisp-remote and auditd", "docs/stock-protocol.md"),
    ("audit-relay-interop", 7, "with audisp-remote and auditd, each with each", "docs/interop.md"),
    ("audit-relay-states", 7, "failure states: what they mean, what to do, reactions", "docs/failure-states.md"),
    ("audit-relay-messages", 7, "what the programs say, what it means, what to do", "docs/messages.md"),
    ("audit-relay-metrics", 7, "every metric, alerts and a dashboard", "docs/metrics.md"),
    ("audit-relay-records", 7, "records as text: what is stored, gap records, filters", "docs/records.md"),
    ("audit-relay-commands", 7, "what plugins, people and collectors may ask for", "docs/commands.md"),
    ("audit-relay-plugins", 7, "programs of your own that read records", "docs/plugins.md"),
    ("audit-relay-operations", 7, "day to day: states, changes, upgrades, backup, sizes, retention", "docs/operations.md"),
    ("audit-relay-security", 7, "the security model: who may do what, and what is not protected", "docs/security.md"),
    ("audit-relay-compliance", 7, "notes on STIG, CIS and PCI DSS", "docs/compliance.md"),
    ("audit-relay-packages", 7, "what is in which package; installation, upgrade, removal", "docs/packages.md"),
    ("audit-relay-containers", 7, "the collector and the sender in containers of podman", "docs/containers.md"),
    ("audit-relay-tls", 7, "certificates and keys", "docs/tls.md"),
    ("audit-relay-collectors", 7, "several collectors: failover and spreading", "docs/collectors.md"),
    ("audit-relay-enrich", 7, "names of users and system calls, beside each record", "docs/enrich.md"),
    ("audit-relay-publish", 7, "all hosts' records for a collector's plugins, and a second tier", "docs/publish.md"),
    ("audit-relay-json", 7, "what audit-relay says to programs", "docs/json.md"),
    ("audit-relay-reliability", 7, "what is promised, what is not, and the proof of each", "docs/reliability.md"),
    ("audit-relay-dispatcher", 8, "publishes audit records to subscribers; subscribers.d", "docs/dispatcher.md"),
    ("audit-relay-units", 8, "units, users and files", "docs/units.md"),
    ("audit-relay-guard", 8, "example plugin: asks for blocks after failed logins", "plugins/guard/README.md"),
    ("audit-relay-nft-block", 8, "example plugin: blocks addresses by nftables", "plugins/nft-block/README.md"),
    ("audit-relay-journal", 8, "example plugin: records into the journal", "plugins/journal/README.md"),
]
# What else people look for, and the page that has it: (name, section, page, its section).
ALIASES = [
    ("audit-relay-remote", 8, "audit-relay-units", 8),
    ("audit-relay-aggregator", 8, "audit-relay-units", 8),
    ("audit-relay-subscribers.d", 5, "audit-relay-dispatcher", 8),
    ("audit-relay-drill", 1, "audit-relay-doctor", 1),
    ("audit-relay-cert", 1, "audit-relay-tls", 7),
    ("audit-relay-command", 1, "audit-relay-commands", 7),
    ("audit-relay-tail", 1, "audit-relay-plugins", 7),
    *((name, 8, "audit-relay-units", 8) for name in sorted(
        path.name for kind in ("service", "socket", "target", "path", "slice") for path in (TOP / "units").glob(f"*.{kind}"))),
]
# Where a page has the journal's catalog, which is the source of what is said of each MESSAGE_ID.
CATALOG, CATALOG_HERE = "catalog/audit-relay.catalog", "<!-- the catalog -->\n"
# A page's name by the document it is made of.
OF_DOCUMENT = {source.partition("/")[2]: f"{name}({section})" for name, section, _, source in PAGES if source.endswith(".md")}


def escape(text):
    """Plain text in roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def head(name, section, what, options):
    title = f'.TH "{escape(name.upper())}" "{section}" "{options.date}" "{PACKAGE} {options.version}" "{PACKAGE}"\n'
    return title + f".SH NAME\n{escape(name)} \\- {escape(what)}\n"


def see_also(name):
    others = [f"\\fB{escape(n)}\\fR({s})" for n, s, *_ in PAGES if n != name]
    return ".SH SEE ALSO\n.ad l\n" + ",\n".join(others) + "\n"


# --- The pages of docs/ ---

def link(match):
    """To another page of the manual by its name, to anything else as it stands."""
    words, target = match[1], match[2].split("#")[0]
    page = OF_DOCUMENT.get(target.rpartition("/")[2]) or OF_DOCUMENT.get("/".join(target.split("/")[-2:]))
    if page:
        return page if words in (target, f"docs/{target}") else f"{words}, {page}"
    return words if not target or "://" not in target else f"{words} ({target})"


def cells(row):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def as_list(match):
    """A table as a list: what its rows are about, and below it the other columns. No terminal is wide enough for ours."""
    names, _, *rows = [cells(row) for row in match[0].strip().splitlines()]
    out = "\n"
    for first, *others in rows:
        said = [f"*{name[0].upper()}{name[1:]}:* {cell.rstrip('.')}" if name and n else cell.rstrip(".")
                for n, (name, cell) in enumerate(zip(names[1:], others)) if cell]
        term = f"{names[0]} {first}" if first.isdigit() else first or "(none)"
        out += f"{term}\n:   {'. '.join(said) or '(none)'}\n\n"
    return out


def from_catalog():
    """The entries of the journal's catalog, each as a heading with its text."""
    out = ""
    for entry in re.split(r"^-- ", (TOP / CATALOG).read_text(), flags=re.MULTILINE)[1:]:
        headers, _, body = entry.partition("\n\n")
        identity, subject = headers.split("\n")[0], re.search(r"^Subject: (.*)$", headers, re.MULTILINE)[1]
        out += f"### {subject}\n\n`MESSAGE_ID={identity}`\n\n{body.strip()}\n\n"
    return re.sub(r"@([A-Z_]+)@", r"*\1*", out)


def from_document(source):
    text = (TOP / source).read_text().replace(CATALOG_HERE, from_catalog())
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^]]*\]\([^)]*\)\n?", "", text)
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", link, text)
    text = re.sub(r"(?:^\|.*\n)+", as_list, text, flags=re.MULTILINE)
    # The page has a title of its own; what is before the first heading is the description.
    text = re.sub(r"\A\s*# .*\n", "# Description\n", text)
    text = re.sub(r"^##(?=#* )", "#", text, flags=re.MULTILINE)
    done = subprocess.run(["lowdown", "-s", "-Tman", "-"], input=text, text=True,
                          stdout=subprocess.PIPE, check=True)
    body = re.sub(r"\A.*?(?=^\.SH)", "", done.stdout, count=1, flags=re.DOTALL | re.MULTILINE)
    # Headings of the first level are in capitals, as in all manual pages; not the names of characters in them.
    return re.sub(r"^\.SH[ \n](.*)$", lambda m: ".SH " + re.sub(r"(\\\(..)|([^\\]+)", lambda t: t[1] or t[2].upper(), m[1]), body,
                  flags=re.MULTILINE)


# --- The examples of conf/ ---

def paragraphs(text):
    """(lines of explanation, ["Key=default", …]) of an example, and "[Section]" where one begins."""
    for block in re.split(r"\n\s*\n", text):
        words, keys = [], []
        for line in block.splitlines():
            key = re.fullmatch(r"#?([A-Z]\w*=.*)", line)
            if key:
                keys.append(key[1])
            elif line.startswith("["):
                yield line, [], []
            elif "SPDX" not in line:
                words.append(line.lstrip("#").strip())
        yield "", words, keys


def from_example(source):
    program = pathlib.Path(source).stem
    out = (f".SH SYNOPSIS\n.nf\n/etc/audit\\-relay/{program}.conf\n/etc/audit\\-relay/{program}.conf.d/*.conf\n.fi\n"
           ".SH DESCRIPTION\n")
    for section, words, keys in paragraphs((TOP / source).read_text()):
        if section:
            out += f".SH {escape(section)}\nDefaults are shown.\n"
        elif keys:
            out += "".join(f"{'.TQ' if n else '.TP'}\n\\fB{escape(k.partition('=')[0])}=\\fR{escape(k.partition('=')[2])}\n"
                           for n, k in enumerate(keys))
            out += escape("\n".join(words)) + "\n" if any(words) else "As above.\n"
        elif any(words):
            out += ".PP\n" + "".join(escape(word) + "\n" if word else ".PP\n" for word in words)
    return out


# --- What the verbs say ---

def from_help(tool):
    def say(*arguments):
        return subprocess.run([tool, *arguments, "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout

    first = say()
    out = f".SH DESCRIPTION\n.nf\n{escape(first)}.fi\n"
    for verb in re.findall(r"^  ([a-z]+) +[A-Z]", first, re.MULTILINE):
        out += f".SH {verb.upper()}\n.nf\n{escape(say(verb))}.fi\n"
    return out


def page(name, section, what, source, options):
    body = (from_help(options.tool) if source == "--help" else from_document(source) if source.endswith(".md")
            else from_example(source))
    return head(name, section, what, options) + body + see_also(name)


def main():
    parser = argparse.ArgumentParser(prog="manual.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--sources", action="store_true")
    parser.add_argument("--version", default="")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("tool", nargs="?")
    parser.add_argument("directory", nargs="?", type=pathlib.Path)
    options = parser.parse_args()
    if options.list:
        for name, section, *_ in [*PAGES, *ALIASES]:
            print(f"{name}.{section}")
        return 0
    if options.sources:
        print("\n".join([*(source for *_, source in PAGES if source != "--help"), CATALOG]))
        return 0
    options.directory.mkdir(parents=True, exist_ok=True)
    for name, section, what, source in PAGES:
        (options.directory / f"{name}.{section}").write_text(page(name, section, what, source, options))
    for name, section, target, of in ALIASES:
        (options.directory / f"{name}.{section}").write_text(f".so man{of}/{target}.{of}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
