// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/whole_number.h>
#include <detente/data/sound_rows.h>

#include <utility>

namespace detente::data {
namespace {

constexpr FileKind kSounds{.word = "audio", .endings = ".wav", .fits = has_sound_name};

FileRows list_sounds(const ImageListing& listing) {
  std::optional<FileRows> rows = list_files(listing, kSounds);
  DETENTE_CHECK(
      rows.has_value(),
      ErrorCode::kData,
      "[data::SoundRows] '{}' is neither a list of recordings (.csv or .tsv) nor a folder{}",
      listing.path,
      has_sound_name(listing.path)
          ? "; a single recording is no data set: name its folder, or a list."
          : " that is there.");
  return std::move(*rows);
}

FileRows index_table(const ImageListing& listing) {
  if (listing.given != nullptr) return {*listing.given, {}, listing.classes, {}, true};
  std::error_code ignored;
  DETENTE_CHECK(!std::filesystem::is_directory(listing.path, ignored),
                ErrorCode::kData,
                "[data::SoundRows] '{}' is a folder; with data.pcm expected a table of places in "
                "that file.",
                listing.path);
  return {Table::read(listing.path, listing.format), {}, listing.classes, {}, true};
}

std::vector<std::size_t> places(const Table& table, const std::string& name) {
  const std::size_t column = table.column_index(name);
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const auto number = whole_number<std::size_t>(trim(table.cell(i, column)));
    DETENTE_CHECK(number.has_value(),
                  ErrorCode::kData,
                  "[data::SoundRows] '{}' in line {}, column '{}' of '{}' is no place in a file; "
                  "expected a whole number of samples from 0 on.",
                  table.cell(i, column),
                  table.line(i),
                  name,
                  table.source());
    numbers.push_back(*number);
  }
  return numbers;
}

}  // namespace

SoundRows::SoundRows(const ImageListing& listing, const PcmIndex& pcm)
    : rows_(pcm.file.empty() ? list_sounds(listing) : index_table(listing)) {
  if (!pcm.file.empty()) read_index(pcm);
}

SoundRows::SoundRows(const SourceFiles& files, Part part, const ImageListing& listing)
    : rows_(list_sources(files, part, listing, kSounds)) {}

void SoundRows::read_index(const PcmIndex& pcm) {
  const Table& table = rows_.table;
  begins_ = places(table, pcm.offset);
  lengths_ = places(table, pcm.length);
  rate_ = pcm.rate;
  file_ = pcm.file;
  bytes_ = read_file(pcm.file);
  DETENTE_CHECK(
      bytes_.size() % 2 == 0 && !bytes_.starts_with("RIFF"),
      ErrorCode::kData,
      "[data::SoundRows] '{}' ({} bytes) {}; expected numbers of 16 bits and nothing else.",
      pcm.file,
      bytes_.size(),
      bytes_.starts_with("RIFF") ? "is a WAV file" : "is damaged or cut short");
  const std::size_t samples = bytes_.size() / 2;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    DETENTE_CHECK(
        begins_[i] <= samples && lengths_[i] <= samples - begins_[i],
        ErrorCode::kData,
        "[data::SoundRows] line {} of '{}' names {} samples from {} on; '{}' has {} in all.",
        table.line(i),
        table.source(),
        lengths_[i],
        begins_[i],
        pcm.file,
        samples);
  }
}

Sound SoundRows::read(std::size_t row) const {
  if (!begins_.empty()) {
    DETENTE_CHECK(lengths_[row] > 0,
                  ErrorCode::kData,
                  "[data::SoundRows] {} is a recording without a sample. Leave it out.",
                  name(row));
    return {rate_, pcm16_samples(bytes_, begins_[row], lengths_[row])};
  }
  try {
    return read_sound(rows_.files[row]);
  } catch (const Error& error) {
    if (!rows_.is_list) throw;
    fail(error.code(),
         "{} It is named in line {} of '{}'.",
         error.what(),
         rows_.table.line(row),
         rows_.table.source(row));
  }
}

Recording SoundRows::recording(std::size_t row) const {
  if (begins_.empty()) return {.file = rows_.files[row]};
  return {file_, rate_, begins_[row], lengths_[row]};
}

std::string SoundRows::name(std::size_t row) const {
  if (begins_.empty()) return "'" + rows_.files[row].string() + "'";
  return fmt::format("line {} of '{}'", rows_.table.line(row), rows_.table.source());
}

}  // namespace detente::data
