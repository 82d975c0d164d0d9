"""Nothing of whose machine it is gets into the facts: a machine made of everything that must not be seen."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machines.load import build
from sparksmith.base.command import Answer
from sparksmith.machine.capture import collect_tree
from sparksmith.machine.facts import Asked, read_machine
from sparksmith.machine.private import Private, find_others

HF = "hf_" + "abcdEFGH" * 4
PRIVATE = Private(frozenset({"gx10-f443", "gx10-f443.lan"}), frozenset({"ann.lee"}), ("/data/people/ann.lee",))
# What the nasty machine holds, none of which may be told.
NASTY = (
    "ann.lee", "gx10-f443", "wachstein", "Wachstein", "corp.example", "10.65.68.52", "192.168.100.11",
    "48:b0:2d:aa:bb:cc",
    "s3cr3tword", HF, "k3y-of-wandb", "TAMSAG002940X2C", "GPU-1a775e1b-4f78-f336-8ddb-b08c6d1a1489", "1653724065427",
    "0x973c02a1f65c852c", "bobby", "filer7", "f47ac10b-58cc", "my-registry",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/people/ann.lee/.venv/bin/python", "~/.venv/bin/python"),
        ("/data/people/ann.lee", "~"),
        ("/data/people/ann.leeway", "/data/people/ann.leeway"),
        ("/home/bob/x:/home/ann/y", "~/x:~/y"),
        ("/root/.cache and /rooted", "~/.cache and /rooted"),
        ("/Users/ann/x", "~/x"),
        ("/media/ann/USB DISK", "/media/[user]/USB DISK"),
        ("on gx10-f443 as ann.lee", "on [host] as [user]"),
        ("gx10-f443.lan", "[host]"),
        ("my-gx10-f443x", "my-gx10-f443x"),
        ("see https://me:word@pypi.corp.example/simple?x=1 now", "see [url] now"),
        ("unix:///var/run/docker.sock", "[url]"),
        ("ann@gx10.corp.example:/srv", "[user]@[host]"),
        ("torch @ git+https://github.com/x/y", "torch @ [url]"),
        ("at 10.65.68.52:8080 and 255.1.2.3", "at [address] and [address]"),
        ("driver 580.95.05, CUDA 13.0.2.6", "driver 580.95.05, CUDA [address]"),
        ("version 9.14.0.64", "version 9.14.0.64"),
        ("9.20.0.48", "9.20.0.48"),
        ("cudnn==9.20.0.48 cudnn-9.20.0.48.dist-info", "cudnn==9.20.0.48 cudnn-9.20.0.48.dist-info"),
        ("/user.slice/user@1000.service/x", "/user.slice/user@1000.service/x"),
        ("580.126.09.1 is no address", "580.126.09.1 is no address"),
        ("link 48:b0:2d:aa:bb:cc up", "link [address] up"),
        ("000f:01:00.0", "000f:01:00.0"),
        ("GPU-1a775e1b-4f78-f336-8ddb-b08c6d1a1489", "[device]"),
        ("Serial Number : 1653724065427", "Serial Number : [device]"),
        ("command [ssh -T -l joe -- box.corp.example docker system dial-stdio] has exited",
         "command [ssh -T -l [user] -- [host] docker system dial-stdio] has exited"),
        ("ssh: Could not resolve hostname box.corp.example: Name or service not known",
         "ssh: Could not resolve hostname [host]: Name or service not known"),
        ("[ssh -l joe box docker system dial-stdio]", "[ssh -l [user] [host] docker system dial-stdio]"),
        ("ssh: connect to host box port 22: Connection refused",
         "ssh: connect to host [host] port 22: Connection refused"),
        ("dial tcp: lookup box.corp.example on 127.0.0.53:53: no such host",
         "dial tcp: lookup [host] on [address]: no such host"),
        ("dial tcp box.corp.example:2375: i/o timeout", "dial tcp [host]:2375: i/o timeout"),
        ("the ssh service has -1000 -- see there", "the ssh service has -1000 -- see there"),
        (f"HF_TOKEN={HF}", "HF_TOKEN=[redacted]"),
        ("NVIDIA GB10 on a DGX Spark, torch 2.13.0", "NVIDIA GB10 on a DGX Spark, torch 2.13.0"),
    ],
)  # fmt: skip
def test_what_is_hidden(text, shown):
    assert PRIVATE.hide(text) == shown


def test_inside_of_what_json_holds():
    value = {"a": ["/home/bob/x", 5, None, {"/home/bob": True}], "b": ("x", 1.5)}
    assert PRIVATE.hide_all(value) == {"a": ["~/x", 5, None, {"~": True}], "b": ["x", 1.5]}


@pytest.mark.parametrize(
    ("name", "value", "users", "hosts"),
    [
        ("DOCKER_HOST", "ssh://joe@box.corp.example", {"joe"}, {"box.corp.example"}),
        ("DOCKER_HOST", "ssh://joe@box.corp.example:2222/run/docker.sock", {"joe"}, {"box.corp.example"}),
        ("DOCKER_HOST", "tcp://box:2375", {""}, {"box"}),
        ("DOCKER_HOST", "unix:///var/run/docker.sock", set(), set()),
        ("DOCKER_HOST", "tcp://10.0.0.1:2375", {""}, set()),
        ("UV_INDEX_URL", "https://ann:word@pypi.corp.example/list", {"ann"}, {"pypi.corp.example"}),
        ("HTTPS_PROXY", "relay.corp.example:3128", set(), {"relay.corp.example"}),
        ("MASTER_ADDR", "spark-b", set(), {"spark-b"}),
        ("PGHOST", "db.corp.example", set(), set()),
        ("RSYNC_TARGET", "ann@backup.corp.example:/srv", {"ann"}, {"backup.corp.example"}),
        ("UV_FIND_LINKS", "https://a.example/x https://b.example/y", {""}, {"a.example", "b.example"}),
        ("PATH", "/usr/bin:/bin", set(), set()),
        ("XDG_CURRENT_DESKTOP", "ubuntu:GNOME", set(), set()),
    ],
)
def test_whom_a_variable_names(name, value, users, hosts):
    assert find_others({name: value}) == (users, hosts)


REMOTE = (
    'error during connect: Get "http://docker.example.com/v1.51/info": command [ssh -o ConnectTimeout=30 -T -l '
    "joebloggs -- dockerhost.corp5.example.net docker system dial-stdio] has exited with exit status 255, please make "
    "sure the URL is valid: stderr=ssh: Could not resolve hostname dockerhost.corp5.example.net: Name or service not "
    "known\n"
    "dockerhost.corp5.example.net is not known to joebloggs\n"
)


@pytest.mark.parametrize("host", ["ssh://joebloggs@dockerhost.corp5.example.net", None])
def test_the_host_of_a_docker_elsewhere_is_in_no_part_of_a_copy(host, tmp_path, own_home):
    """By the variable, and where docker's context names it also by how docker says that it was not reached."""

    def answer(argv, timeout_seconds):
        said = REMOTE if host else "".join(REMOTE.splitlines(keepends=True)[:1])
        return Answer(1, "", said) if argv[0] == "docker" else Answer(None, "", f"{argv[0]}: not found")

    environ = {"HOME": str(own_home), "PATH": "/usr/bin", **({"DOCKER_HOST": host} if host else {})}
    facts = collect_tree(tmp_path / "copy", commands=answer, environ=environ)
    shown = json.dumps(facts.to_json())
    files = [path for path in (tmp_path / "copy").rglob("*") if path.is_file() and not path.is_symlink()]
    shown += "".join(f"{path.relative_to(tmp_path)} {path.read_text()}" for path in files)
    assert "error during connect" in shown
    assert [word for word in ("joebloggs", "dockerhost", "corp5", "example.net") if word in shown] == []


@given(st.text(max_size=200))
def test_any_text_is_hidden_once_for_all(text):
    assert PRIVATE.hide(PRIVATE.hide(text)) == PRIVATE.hide(text)


@pytest.fixture
def nasty(tmp_path):
    """A Spark whose every file says whose it is."""
    tree = build("spark", tmp_path / "nasty")
    home = "data/people/ann.lee"
    index = "https://ann:s3cr3tword@pypi.corp.example"
    environ = (
        f"HOME=/{home}", "USER=ann.lee", f"PWD=/{home}/secret project", f"HF_TOKEN={HF}", "WANDB_API_KEY=k3y-of-wandb",
        f"VIRTUAL_ENV=/{home}/.venv", "PATH=/home/bobby/bin:/usr/bin", f"UV_INDEX_URL={index}/simple",
        "UV_INDEX_MYREG_PASSWORD=s3cr3tword", "MASTER_ADDR=192.168.100.11", "PIP_EXTRA_INDEX_URL=https://pypi.corp.example",
        "HTTPS_PROXY=http://ann.lee:s3cr3tword@10.65.68.52:3128", "AWS_SECRET_ACCESS_KEY=s3cr3tword",
        "NCCL_SOCKET_IFNAME=enp1s0f0np0", "VLLM_HOST_IP=10.65.68.52", f"HF_HOME=/{home}/hf", "HOSTNAME=gx10-f443",
        "NCCL_COMM_ID=192.168.100.11:5000", f"LD_LIBRARY_PATH=/{home}/lib:/opt/lib",
    )  # fmt: skip
    files = {
        "proc/sys/kernel/hostname": ("gx10-f443",),
        "etc/hostname": ("gx10-f443.lan",),
        "etc/passwd": (
            f"ann.lee:x:1000:1000:Ann Wachstein:/{home}:/bin/sh", "bobby:x:1001:1:Bobby:/home/bobby:/bin/sh",
        ),
        "etc/group": ("docker:x:988:ann.lee,bobby", "wachstein:x:5000:ann.lee"),
        "proc/cmdline": ("root=UUID=f47ac10b-58cc-4372-a567-0e02b2c3d479 ip=10.65.68.52 psi=1 password=s3cr3tword",),
        "proc/mounts": (
            "filer7.corp.example:/export /data nfs4 rw,addr=10.65.68.52,clientaddr=192.168.100.11 0 0",
            "/dev/a / ext4 rw 0 0",
        ),
        "etc/dgx-release": ('DGX_OTA_VERSION="7.4.0"', 'DGX_SERIAL_NUMBER="TAMSAG002940X2C"'),
        "proc/self/environ": environ,
        f"{home}/.venv/pyvenv.cfg": ("home = /home/bobby/python/bin", "version_info = 3.12.3"),
        f"{home}/.config/uv/uv.toml": (
            "offline = true", f'index-url = "{index}"',
            "[[index]]", 'name = "my-registry"', 'url = "https://my-registry.corp.example"',
        ),
        f"{home}/secret project/pyproject.toml": (
            "[project]", 'name = "wachstein"', "[tool.uv]", "no-sync = true", 'find-links = ["https://my-registry"]',
        ),
        "commands/docker info.txt": (
            " Server Version: 29.2.1", " Runtimes: nvidia runc", " Name: gx10-f443",
            " HTTP Proxy: http://ann.lee:s3cr3tword@10.65.68.52", " Labels:", "  owner=wachstein",
        ),
        "commands/df -kPT.txt": (
            "Filesystem Type 1024-blocks Used Available Capacity Mounted on",
            "filer7.corp.example:/export nfs4 100 50 50 50% /data", "/dev/a ext4 100 40 60 40% /",
            "/dev/b ext4 1 1 1 1% /media/bobby/STICK",
        ),
        "sys/class/net/enp1s0f0np0/address": ("48:b0:2d:aa:bb:cc",),
    }  # fmt: skip
    for name, lines in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("\n".join(lines) + "\n")
    (tree / home / ".venv/lib/python3.12/site-packages/torch-2.13.0.dist-info").mkdir(parents=True)
    smi = tree / "commands/nvidia-smi -q.txt"
    added = (
        "    Serial Number     : 1653724065427\n    GPU UUID          : GPU-1a775e1b-4f78-f336-8ddb-b08c6d1a1489\n"
        "    GPU PDI           : 0x973c02a1f65c852c\n"
    )
    people = "    Processes\n        Process ID : 7\n            Name : /home/bobby/env/bin/python\n"
    said = (
        smi.read_text().replace("    Fan Speed", f"{added}    Fan Speed").replace("    Processes ", f"{people}    x ")
    )
    smi.write_text(said)
    return tree


def test_facts_of_the_nasty_machine(nasty):
    facts = read_machine(nasty)
    text = json.dumps(facts.to_json())
    assert [word for word in NASTY if word in text] == []
    assert "://" not in text and "/home/" not in text
    told = json.loads(text)
    assert told["uv"]["files"][0]["settings"] == {"no-sync": "true"}  # what counts is still told
    assert [file["indexes"] for file in told["uv"]["files"]] == [1, 2]
    assert told["variables"]["values"]["HF_TOKEN"] == "[set]"
    assert told["variables"]["values"]["LD_LIBRARY_PATH"] == "~/lib:/opt/lib"
    assert told["gpu"]["processes"][0]["name"] == "~/env/bin/python"
    assert told["disks"][0]["path"] == "~/hf/hub" and told["disks"][0]["filesystem"] == "nfs4"
    assert told["docker"]["in_group"] is True and told["docker"]["listed_in_group"] is True
    assert told["pythons"][0]["packages"] == {"torch": "2.13.0"}
    assert told["system"]["kernel_words"] == ["psi=1"]


def test_a_copy_of_the_nasty_machine(nasty, tmp_path):
    copy = tmp_path / "copy"
    before = collect_tree(copy, nasty)
    for path in copy.rglob("*"):
        shown = f"{path.relative_to(copy)} {path.read_text() if path.is_file() and not path.is_symlink() else ''}"
        assert [word for word in NASTY if word in shown] == [], path
    after = read_machine(copy, asked=Asked("/data/user/secret project"))
    assert after.to_json() == before.to_json()
