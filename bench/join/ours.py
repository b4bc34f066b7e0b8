"""Tidemark's side: a project for a case, the command that is timed, the kernel in memory."""

import os
import subprocess

import cases


def definitions(case, folder):
    """The definitions an engineer would write for these tables."""
    text = [f"entity 'user' {{ keys = {{ {case.key} 'user_id' }} }}\n"]
    for view in range(1, case.views + 1):
        features = ", ".join(f"float64 '{name}'" for name in cases.feature_names(view))
        text.append(f"""
source 'events_{view}' {{
  path = '{os.path.join(folder, cases.view_file(view))}',
  event_time = 'event_timestamp',
  created_time = 'created',
}}

feature_view 'view_{view}' {{
  entity = 'user',
  source = 'events_{view}',
  ttl = '{cases.TTL_DAYS}d',
  features = {{ {features} }},
}}
""")
    return "".join(text)


def make_project(tidemark, case, folder, project):
    """Writes and applies the definitions."""
    os.makedirs(os.path.join(project, "definitions"), exist_ok=True)
    with open(os.path.join(project, "definitions", "bench.lua"), "w") as file:
        file.write(definitions(case, folder))
    subprocess.run(
        [tidemark, "-C", project, "apply", "--quiet"], check=True, stdout=subprocess.DEVNULL
    )


def command(tidemark, case, folder, project, out, threads=None, memory=None):
    references = ",".join(f"view_{view}:*" for view in range(1, case.views + 1))
    words = [tidemark, "-C", project, "get-historical-features", "--quiet"]
    words += ["--spine", os.path.join(folder, "spine.parquet"), "-f", references, "-o", out]
    if threads:
        words += ["--threads", str(threads)]
    if memory:
        words += ["--memory", memory]
    return words


def build_kernel(tidemark, out):
    """Builds memory.c with the libraries that lie beside the binary."""
    build = os.path.dirname(os.path.realpath(tidemark))
    here = os.path.dirname(os.path.abspath(__file__))
    libraries = [os.path.join(build, f"libtidemark_{name}.a") for name in ("join", "data", "base")]
    words = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O3", "-g"]
    words += ["-I", os.path.join(here, "..", "..", "runtime"), "-o", out]
    words += [os.path.join(here, "memory.c"), *libraries, "-lmd", "-lpthread", "-lm"]
    subprocess.run(words, check=True)


def kernel_command(kernel, case, folder, threads, out=None):
    seconds = cases.TTL_DAYS * 86400
    words = [kernel, os.path.join(folder, "arrays"), case.key]
    words += [str(threads or os.cpu_count()), str(cases.FEATURES), str(seconds), str(cases.JOINS)]
    return words + ([out] if out else [])
