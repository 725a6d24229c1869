// SPDX-License-Identifier: Apache-2.0
// What the fuzzers share. Each is one function: input in, and either a detente::Error of a kind that
// is the input's fault, or a result that keeps the promises of its header. Sanitizers watch.
#pragma once

#include <detente/core/error.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace detente::fuzz {

// Ends the fuzzer, which keeps the input.
[[noreturn]] inline void broken(const std::string& promise) {
  std::fprintf(stderr, "broken promise: %s\n", promise.c_str());
  std::abort();
}

inline void expect(bool kept, const char* promise) {
  if (!kept) broken(promise);
}

// An error must be the input's fault, and its message must name a place.
template <class Body>
void survive(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    expect(error.code() != ErrorCode::kInternal, error.what());
    expect(error.what()[0] == '[', error.what());
  }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A file in memory with this content, for what reads files.
inline std::string file_with(const char* name, std::string_view content) {
  static const std::string folder = [] {
    std::string made = "/dev/shm/detente-fuzz-" + std::to_string(::getpid());
    ::mkdir(made.c_str(), 0700);
    return made;
  }();
  std::string path = folder + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

// Takes the text up to the next byte `mark` out of `rest`; all of it when there is none.
inline std::string_view take_until(std::string_view& rest, char mark) {
  const std::size_t end = rest.find(mark);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

}  // namespace detente::fuzz

// FUZZ(size, data) { ... } defines what libFuzzer calls.
#define FUZZ(data, size)                                                              \
  static void fuzz_one(const std::uint8_t* data, std::size_t size);                   \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    fuzz_one(data, size);                                                             \
    return 0;                                                                         \
  }                                                                                   \
  static void fuzz_one(const std::uint8_t* data, std::size_t size)
