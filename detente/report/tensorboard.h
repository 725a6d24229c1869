// SPDX-License-Identifier: Apache-2.0
// Scalars in TensorBoard's event file format.
//
// A file is a run of records: length (8 bytes, little-endian), masked CRC-32C of the length, the
// data, masked CRC-32C of the data; the data is a tensorflow.Event protocol buffer.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace detente::report {

class EventWriter {
 public:
  // Creates events.out.tfevents.<time>.<host>.<pid>.<n> in `folder` (made when missing); a name
  // that exists is never reused, so a resumed run adds a file and TensorBoard joins them. kIo.
  explicit EventWriter(const std::filesystem::path& folder);

  // Tells TensorBoard that the run continues here: it forgets what earlier files of this folder
  // say about `step` and later. For resumed runs, before the first scalar.
  void restart_at(std::int64_t step);

  // `wall_time` in seconds since 1970; negative: now. TensorBoard keeps values as float.
  void add_scalar(std::string_view tag, std::int64_t step, double value, double wall_time = -1);

  // Hands what was written to the system; kIo with the reason when that fails.
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  void write_record(std::string_view data);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, nullptr};
};

// Whether a file has a name that EventWriter gives; other programs that write for TensorBoard give
// the same ones.
bool is_event_file_name(std::string_view name);

}  // namespace detente::report
