// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/openslide_places.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <tests/support/temp_dir.h>

#include <filesystem>
#include <string>

namespace detente::slides {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What dlerror() says where people report it.
TEST(ExplainLoadFailure, KnowsWhatPeopleReport) {
  struct Case {
    const char* asked;
    const char* message;
    const char* cause;
    const char* cure;
  };
  const Case cases[] = {
      {"libopenslide.so.0",
       "libopenslide.so.0: cannot open shared object file: No such file or directory",
       "it is not there",
       "apt install libopenslide0"},
      {"/nowhere/libopenslide.so.1",
       "/nowhere/libopenslide.so.1: cannot open shared object file: No such file or directory",
       "it is not there",
       "DETENTE_OPENSLIDE"},
      {"libopenslide.so.0",
       "libtiff.so.5: cannot open shared object file: No such file or directory",
       "it needs libtiff.so.5, which is not there",
       "install what has libtiff.so.5"},
      {"libopenslide.so.0",
       "/lib/x86_64-linux-gnu/libgobject-2.0.so.0: undefined symbol: ffi_type_uint32, version "
       "LIBFFI_BASE_7.0",
       "libgobject and libffi do not fit together",
       "unset LD_LIBRARY_PATH"},
      {"libopenslide.so.0",
       "/lib/x86_64-linux-gnu/libp11-kit.so.0: undefined symbol: ffi_type_pointer, version "
       "LIBFFI_BASE_7.0",
       "libffi do not fit",
       "pip install openslide-bin"},
      {"libopenslide.so.0",
       "/opt/conda/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by "
       "/lib/x86_64-linux-gnu/libicuuc.so.72)",
       "libstdc++ that is found first is older",
       "libstdcxx-ng"},
      {"/x/libopenslide.so.1",
       "/lib64/libc.so.6: version `GLIBC_2.28' not found (required by /x/libopenslide.so.1)",
       "newer system (glibc)",
       "apt install libopenslide0"},
      {"libopenslide.so.0",
       "/lib/x86_64-linux-gnu/libtiff.so.6: undefined symbol: jpeg12_write_raw_data, version "
       "LIBJPEG_6.2",
       "of another version",
       "leave the conda environment"},
      {"libopenslide.so.0",
       "/opt/conda/lib/libjpeg.so.8: version `LIBJPEG_8.0' not found (required by "
       "/lib/libtiff.so.5)",
       "of another version",
       "openslide-bin"},
      {"/x/a.so",
       "/x/a.so: wrong ELF class: ELFCLASS32",
       "no library for this machine",
       "pip install"},
      {"/x/a.so", "/x/a.so: invalid ELF header", "no library for this machine", "pip install"},
      {"/x/a.so", "/x/a.so: file too short", "no library for this machine", "pip install"},
      {"/x",
       "/x: cannot read file data: Is a directory",
       "no library for this machine",
       "DETENTE_OPENSLIDE"},
      {"/x/a.so",
       "/x/a.so: cannot open shared object file: Permission denied",
       "may not be read",
       "make it readable"},
      {"/x/a.so",
       "/x/a.so: failed to map segment from shared object: Operation not permitted",
       "noexec",
       "another folder"},
      {"libopenslide.so.1",
       "/lib/libgomp.so.1: cannot allocate memory in static TLS block",
       "thread-local",
       "LD_PRELOAD"},
      {"/x/a.so",
       "undefined symbol: openslide_open: it is no OpenSlide, or one before 3.4",
       "another version",
       "DETENTE_OPENSLIDE"},
      {"/x/a.so", "something new", "it cannot be loaded", "pip install openslide-bin"},
      {"", "", "it cannot be loaded", "pip install openslide-bin"},
  };
  for (const Case& one : cases) {
    const LoadProblem problem = explain_load_failure(one.asked, one.message);
    EXPECT_THAT(problem.cause, HasSubstr(one.cause)) << one.message;
    EXPECT_THAT(problem.cure, HasSubstr(one.cure)) << one.message;
  }
}

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    const char* before = getenv(name);
    if (before != nullptr) before_ = before;
    was_set_ = before != nullptr;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (was_set_) {
      setenv(name_, before_.c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;
  bool was_set_ = false;
};

TEST(OpenslidePlaces, AreTheNamedFileAlone) {
  const Variable named("DETENTE_OPENSLIDE", "/some where/libopenslide.so");
  EXPECT_THAT(openslide_places(), ElementsAre("/some where/libopenslide.so"));
}

TEST(OpenslidePlaces, HaveThePackageOfThePythonInPathBetweenNewAndOld) {
  const test::TempDir folder;
  namespace fs = std::filesystem;
  const fs::path package = folder.path() / "my venv/lib/python3.11/site-packages/openslide_bin";
  fs::create_directories(package);
  fs::create_directories(folder.path() / "my venv/bin");
  folder.write("my venv/lib/python3.11/site-packages/openslide_bin/libopenslide.so.1", "");
  folder.write("my venv/bin/python3", "#!/bin/sh\n");
  fs::permissions(folder.path() / "my venv/bin/python3", fs::perms::owner_all);
  const Variable named("DETENTE_OPENSLIDE", "");
  const Variable home("HOME", folder.file("nobody"));
  const Variable path(
      "PATH", "relative::" + folder.file("none") + ":" + folder.file("my venv/bin") + ":/usr/bin");
  EXPECT_THAT(
      openslide_places(),
      ElementsAre(
          "libopenslide.so.1", (package / "libopenslide.so.1").string(), "libopenslide.so.0"));
}

}  // namespace
}  // namespace detente::slides
