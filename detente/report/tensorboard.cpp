// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/report/tensorboard.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace detente::report {
namespace {

constexpr std::string_view kEventFileBegin = "events.out.tfevents.";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void append_fixed(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFFU);
}

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80U) {
    out += static_cast<char>((value & 0x7FU) | 0x80U);
    value >>= 7U;
  }
  out += static_cast<char>(value);
}

// Protocol buffer fields: the key is number << 3 | wire type.
void field_varint(std::string& out, unsigned number, std::uint64_t value) {
  append_varint(out, number << 3U);
  append_varint(out, value);
}

void field_double(std::string& out, unsigned number, double value) {
  append_varint(out, number << 3U | 1U);
  append_fixed(out, std::bit_cast<std::uint64_t>(value), 8);
}

void field_bytes(std::string& out, unsigned number, std::string_view value) {
  append_varint(out, number << 3U | 2U);
  append_varint(out, value.size());
  out += value;
}

void field_float(std::string& out, unsigned number, float value) {
  append_varint(out, number << 3U | 5U);
  append_fixed(out, std::bit_cast<std::uint32_t>(value), 4);
}

// tensorflow.Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
std::string event(double wall_time, std::int64_t step) {
  std::string out;
  field_double(out, 1, wall_time);
  if (step != 0) field_varint(out, 2, static_cast<std::uint64_t>(step));
  return out;
}

// The format stores a rotated and shifted CRC, because a CRC of data that holds CRCs is weak.
std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace

bool is_event_file_name(std::string_view name) {
  if (!name.starts_with(kEventFileBegin)) return false;
  name.remove_prefix(kEventFileBegin.size());
  // <time>.<host>.<pid>.<n>; a host's name may have points of its own.
  const auto is_number = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (!is_number(name.substr(0, name.find('.')))) return false;
  for (int last = 0; last < 2; ++last) {
    const std::size_t point = name.rfind('.');
    if (point == std::string_view::npos || !is_number(name.substr(point + 1))) return false;
    name = name.substr(0, point);
  }
  return name.find('.') != std::string_view::npos;
}

EventWriter::EventWriter(const std::filesystem::path& folder) {
  make_directories(folder);
  const double time = now();
  const std::string stem = fmt::format("{}{:010d}.{}.{}.",
                                       kEventFileBegin,
                                       static_cast<std::int64_t>(time),
                                       host_name(),
                                       ::getpid());
  int error = EEXIST;
  for (int n = 0; error == EEXIST; ++n) {
    path_ = folder / (stem + std::to_string(n));
    errno = 0;
    file_ = {std::fopen(path_.c_str(), "wbx"), &std::fclose};
    error = file_ == nullptr ? errno : 0;
  }
  DETENTE_CHECK(error == 0,
                ErrorCode::kIo,
                "[report::EventWriter] cannot create '{}': {}.",
                path_.string(),
                std::strerror(error));
  std::string first = event(time, 0);
  field_bytes(first, 3, "brain.Event:2");
  write_record(first);
  flush();
}

void EventWriter::restart_at(std::int64_t step) {
  std::string log;
  field_varint(log, 1, 1);  // SessionLog.status = START
  std::string data = event(now(), step);
  field_bytes(data, 7, log);
  write_record(data);
}

void EventWriter::add_scalar(std::string_view tag,
                             std::int64_t step,
                             double value,
                             double wall_time) {
  std::string scalar;
  field_bytes(scalar, 1, tag);
  field_float(scalar, 2, static_cast<float>(value));
  std::string summary;
  field_bytes(summary, 1, scalar);
  std::string data = event(wall_time < 0 ? now() : wall_time, step);
  field_bytes(data, 5, summary);
  write_record(data);
}

void EventWriter::write_record(std::string_view data) {
  std::string record;
  record.reserve(data.size() + 16);
  append_fixed(record, data.size(), 8);
  append_fixed(record, masked_crc(record), 4);
  record += data;
  append_fixed(record, masked_crc(data), 4);
  errno = 0;
  const std::size_t written = std::fwrite(record.data(), 1, record.size(), file_.get());
  DETENTE_CHECK(written == record.size(),
                ErrorCode::kIo,
                "[report::EventWriter] cannot write '{}': {}.",
                path_.string(),
                std::strerror(errno));
}

void EventWriter::flush() {
  errno = 0;
  DETENTE_CHECK(std::fflush(file_.get()) == 0,
                ErrorCode::kIo,
                "[report::EventWriter] cannot write '{}': {}.",
                path_.string(),
                std::strerror(errno));
}

}  // namespace detente::report
