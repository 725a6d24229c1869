// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/openslide_places.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace detente::slides {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInPackage = "openslide_bin/libopenslide.so.1";

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// PREFIX/python3*/{site,dist}-packages/openslide_bin/...
void look_below(const fs::path& folder, std::vector<std::string>& places) {
  std::error_code error;
  std::vector<std::string> found;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->path().filename().string().starts_with("python3")) continue;
    for (const char* packages : {"site-packages", "dist-packages"}) {
      const fs::path file = entry->path() / packages / kInPackage;
      std::error_code none;
      if (fs::is_regular_file(file, none)) found.push_back(file.string());
    }
  }
  std::sort(found.begin(), found.end());
  places.insert(places.end(), found.begin(), found.end());
}

// The folder above the one that the first python3 of PATH stands in: of an environment, its own.
fs::path python_prefix() {
  const char* variable = std::getenv("PATH");
  std::string_view path = variable == nullptr ? "" : variable;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    // An empty part is the current folder: whoever puts a library there would have it loaded.
    if (path.starts_with('/')) {
      const fs::path folder(path.substr(0, end));
      if (::access((folder / "python3").c_str(), X_OK) == 0) return folder.parent_path();
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return {};
}

}  // namespace

std::vector<std::string> openslide_places() {
  const char* named = std::getenv("DETENTE_OPENSLIDE");
  if (named != nullptr && *named != '\0') return {named};
  std::vector<std::string> places = {"libopenslide.so.1"};
  const fs::path prefix = python_prefix();
  if (!prefix.empty()) {
    for (const char* folder : {"lib", "lib64", "local/lib"}) look_below(prefix / folder, places);
  }
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') look_below(fs::path(home) / ".local/lib", places);
  places.emplace_back("libopenslide.so.0");
  return places;
}

std::string openslide_install_lines() {
  return "install OpenSlide, `apt install libopenslide0` or `pip install openslide-bin`, or name "
         "the "
         "library's file by DETENTE_OPENSLIDE";
}

LoadProblem explain_load_failure(std::string_view asked, std::string_view message) {
  const std::string other =
      "take the one that brings all it needs, `pip install openslide-bin`, or name another file by "
      "DETENTE_OPENSLIDE";
  if (contains(message, "No such file or directory")) {
    if (message.starts_with(asked)) return {"it is not there", openslide_install_lines()};
    const std::string_view needed = message.substr(0, message.find(':'));
    return {fmt::format("it needs {}, which is not there", needed),
            fmt::format("install what has {} (`apt install libopenslide0` brings all of it), or {}",
                        needed,
                        other)};
  }
  // Conda and system libraries mixed: the libffi that was loaded first is not the one that libgobject or
  // libp11-kit was built with.
  if (contains(message, "LIBFFI") || contains(message, "ffi_type") ||
      contains(message, "ffi_call")) {
    return {
        "libgobject and libffi do not fit together: two systems' libraries are mixed, often those "
        "of a "
        "conda environment and the system's",
        "unset LD_LIBRARY_PATH and LD_PRELOAD or leave the conda environment; else " + other};
  }
  for (const char* part : {"GLIBCXX_", "CXXABI_"}) {
    if (!contains(message, part)) continue;
    return {"the libstdc++ that is found first is older than the one the library was built with",
            "unset LD_LIBRARY_PATH, or update that libstdc++ (conda: `conda install -c conda-forge "
            "libstdcxx-ng`); else " +
                other};
  }
  if (contains(message, "GLIBC_")) {
    return {"the library was built for a newer system (glibc) than this one",
            "install the system's own, `apt install libopenslide0`, or an openslide-bin for this "
            "system"};
  }
  if (contains(message, "wrong ELF class") || contains(message, "invalid ELF header") ||
      contains(message, "file too short") || contains(message, "ELF file's phentsize") ||
      contains(message, "cannot open shared object file: Is a directory") ||
      contains(message, "cannot read file data")) {
    return {
        "the file is no library for this machine (another kind of processor, a cut download, a "
        "folder)",
        openslide_install_lines()};
  }
  if (contains(message, "Permission denied")) {
    return {"the file may not be read", "make it readable, or " + other};
  }
  if (contains(message, "failed to map segment")) {
    return {
        "the system does not allow code from where the file lies (a folder mounted noexec), or the "
        "memory is used up",
        "move it to another folder and name it by DETENTE_OPENSLIDE"};
  }
  if (contains(message, "static TLS block")) {
    return {
        "libraries that were loaded before have used up the room for thread-local data",
        "unset LD_PRELOAD, or start the program with LD_PRELOAD set to the library that is named"};
  }
  if (contains(message, "undefined symbol") || contains(message, "symbol lookup error") ||
      (contains(message, "version `") && contains(message, "not found"))) {
    return {"a library that it needs is of another version than the one it was built with",
            "unset LD_LIBRARY_PATH and LD_PRELOAD or leave the conda environment; else " + other};
  }
  return {"it cannot be loaded", openslide_install_lines()};
}

}  // namespace detente::slides
