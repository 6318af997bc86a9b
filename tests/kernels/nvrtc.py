"""Compiles CUDA sources to PTX with the NVRTC of the Python package nvidia-cuda-nvrtc-cu12: nvrtc.py SOURCES OUT [NAME...]

Every NAME.cu of SOURCES (all of them where none is named) becomes OUT/NAME.ptx. Headers are those of SOURCES; nothing else is seen.
"""

import ctypes
import importlib.util
import pathlib
import sys

OPTIONS = [b"--gpu-architecture=sm_80", b"--std=c++17"]


def library():
    spec = importlib.util.find_spec("nvidia.cuda_nvrtc")
    folder = pathlib.Path(next(iter(spec.submodule_search_locations))) / "lib"
    # NVRTC looks for its own second half by name; one that is loaded already is found.
    ctypes.CDLL(str(folder / "libnvrtc-builtins.so.12.0"), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(folder / "libnvrtc.so.12"))


def strings(values):
    return (ctypes.c_char_p * len(values))(*values)


def text_of(nvrtc, what, program):
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.value


def ptx_of(nvrtc, path, headers):
    names = strings([header.name.encode() for header in headers])
    texts = strings([header.read_bytes() for header in headers])
    program = ctypes.c_void_p()
    made = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), path.read_bytes(), path.name.encode(), len(headers), texts, names
    )
    if made:
        sys.exit(f"{path.name}: NVRTC begins no program, {made}")
    compiled = nvrtc.nvrtcCompileProgram(program, len(OPTIONS), strings(OPTIONS))
    said = text_of(nvrtc, "ProgramLog", program).decode().strip()
    if compiled or said:
        sys.exit(f"{path.name}: NVRTC says {compiled}: {said}")
    ptx = text_of(nvrtc, "PTX", program)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx


def main(sources, out, *names):
    sources, out = pathlib.Path(sources), pathlib.Path(out)
    nvrtc = library()
    headers = sorted(sources.glob("*.cuh"))
    for path in sorted(sources.glob("*.cu")):
        if not names or path.stem in names:
            (out / f"{path.stem}.ptx").write_bytes(ptx_of(nvrtc, path, headers))


main(*sys.argv[1:])
