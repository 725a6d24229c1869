// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/spread_rows.h>
#include <detente/data/clip.h>
#include <detente/data/image_file.h>
#include <detente/data/image_rows.h>
#include <detente/data/log_mel.h>
#include <detente/data/propose_files.h>
#include <detente/data/propose_steps.h>
#include <detente/data/sound_rows.h>
#include <detente/data/split.h>
#include <detente/data/video_file.h>
#include <detente/data/video_source.h>
#include <detente/text/printable.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

namespace detente::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLookedAt = 200;
constexpr std::size_t kLargestSide = 96;        // of images as they are proposed
constexpr std::int64_t kProposedFrames = 1000;  // 10 s
constexpr std::size_t kClipsLookedAt = 20;      // each is read whole
constexpr std::size_t kLargestClipSide = 64;
constexpr std::int64_t kClipFrames = 16;
constexpr double kClipShare = 0.5;
constexpr std::size_t kFilesForTest = 50;
constexpr std::int64_t kSplitSeeds = 100;

const FileKind kImageFiles;

bool holds_pictures(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return false;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (has_image_name(at->path())) return true;
  }
  return false;
}

bool is_clip(const fs::path& path) { return has_video_name(path) || holds_pictures(path); }

// How many files of each kind the folders in `path`, or it itself, hold.
struct Counts {
  std::size_t images = 0;
  std::size_t sounds = 0;
  std::size_t clips = 0;
};

Counts count_files(const std::string& path) {
  Counts counts;
  std::error_code error;
  bool outermost = true;  // whose folders with pictures are classes of images
  const auto count = [&](const fs::path& folder) {
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      counts.images += has_image_name(at->path()) ? 1 : 0;
      counts.sounds += has_sound_name(at->path()) ? 1 : 0;
      counts.clips += (outermost ? has_video_name(at->path()) : is_clip(at->path())) ? 1 : 0;
    }
    outermost = false;
  };
  count(path);
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (fs::is_directory(at->path(), ignored)) count(at->path());
  }
  return counts;
}

// The column of which every cell has such a name, or so many of all; or "".
std::string column_of_files(const Table& table, bool (*fits)(const fs::path&), double share = 1) {
  const fs::path folder = fs::path(table.source()).parent_path();
  for (std::size_t c = 0; c < table.columns(); ++c) {
    std::size_t fitting = 0;
    for (std::size_t i = 0; i < table.rows(); ++i) {
      const std::string cell(trim(table.cell(i, c)));
      fitting += !cell.empty() && fits(folder / cell) ? 1 : 0;
      if (share == 1 && fitting <= i) break;
    }
    if (table.rows() > 0 &&
        static_cast<double>(fitting) >= share * static_cast<double>(table.rows())) {
      return table.column_names()[c];
    }
  }
  return "";
}

Table without_columns(const Table& table, const std::set<std::string>& names) {
  std::vector<std::string> kept;
  std::vector<std::vector<std::string>> columns;
  std::vector<std::size_t> lines;
  for (std::size_t i = 0; i < table.rows(); ++i) lines.push_back(table.line(i));
  for (const std::string& name : table.column_names()) {
    if (names.contains(name)) continue;
    kept.push_back(name);
    const auto cells = table.text_column(name);
    columns.emplace_back(cells.begin(), cells.end());
  }
  DETENTE_CHECK(!kept.empty(),
                ErrorCode::kData,
                "[data::propose_files] '{}' has no column but that of the files; expected at least "
                "one more, to predict it.",
                table.source());
  return Table::made(std::move(kept), columns, table.source()).with_lines(std::move(lines));
}

// The column that says train, dev or test in every row, or "".
std::string column_of_parts(const Table& table) {
  for (const std::string& name : table.column_names()) {
    const Split split{.column = name};
    try {
      if (!split.rows(Part::kTrain, table).empty() && split.names(Part::kDev, table)) return name;
    } catch (const Error&) {
      // Another kind of column.
    }
  }
  return "";
}

// How a sentence on the looked-at files begins.
std::string they(std::size_t count, std::size_t looked_at = kLookedAt) {
  return count > looked_at ? fmt::format("The {} that were looked at", looked_at) : "They";
}

// Smallest, middle and largest.
template <class Number>
std::vector<Number> range(std::vector<Number> sizes) {
  std::sort(sizes.begin(), sizes.end());
  return {sizes.front(), sizes[sizes.size() / 2], sizes.back()};
}

// The form of pictures of these sizes, some of those of `rows`.
void propose_size(const FileRows& rows,
                  const std::vector<ImageShape>& shapes,
                  std::size_t looked_at,
                  std::size_t largest,
                  FileProposal& proposal) {
  std::vector<std::size_t> heights;
  std::vector<std::size_t> widths;
  for (const ImageShape& shape : shapes) {
    heights.push_back(shape.height);
    widths.push_back(shape.width);
  }
  const auto height = range(heights);
  const auto width = range(widths);
  const bool alike = height[0] == height[2] && width[0] == width[2];
  std::size_t h = height[1];
  std::size_t w = width[1];
  const std::size_t longest = std::max(h, w);
  if (longest > largest) {
    h = std::max<std::size_t>(1, h * largest / longest);
    w = std::max<std::size_t>(1, w * largest / longest);
  }
  // Not all files were looked at.
  if (!alike || longest > largest || rows.files.size() > looked_at) {
    proposal.size = {static_cast<std::int64_t>(h), static_cast<std::int64_t>(w)};
    proposal.why_size =
        alike ? fmt::format("{} have {} x {} pixels{}",
                            they(rows.files.size(), looked_at),
                            height[0],
                            width[0],
                            longest > largest ? "; smaller ones train faster" : "")
              : fmt::format("{} have {} to {} by {} to {} pixels; about the middle of them{}",
                            they(rows.files.size(), looked_at),
                            height[0],
                            height[2],
                            width[0],
                            width[2],
                            longest > largest ? ", made smaller, which trains faster" : "");
  }
  DETENTE_CHECK(std::min(h, w) >= 2,
                ErrorCode::kData,
                "[data::propose_files] the pictures of '{}' are {} x {} pixels large; expected at "
                "least 2 x 2.",
                rows.table.source(),
                h,
                w);
  proposal.channels = internal::propose_channels(std::min(h, w), 16);
}

void propose_form(const FileRows& rows, FileProposal& proposal) {
  std::vector<ImageShape> shapes;
  for (const std::size_t row : spread_rows(rows.files.size(), kLookedAt)) {
    shapes.push_back(read_image(rows.files[row]).shape);
  }
  propose_size(rows, shapes, kLookedAt, kLargestSide, proposal);
}

// As many frames as the network looks at, so far from each other that they span about the middle clip.
void propose_clips(const FileRows& rows, FileProposal& proposal) {
  std::vector<ImageShape> shapes;
  std::vector<std::int64_t> pictures;
  for (const std::size_t row : spread_rows(rows.files.size(), kClipsLookedAt)) {
    std::optional<ImageShape> shape;
    ClipWish wish;
    wish.form = [&shape](const Image& image) {
      if (!shape) shape = image.shape;
      return Image{{1, 1, 1}, {0}};  // their number alone is wanted
    };
    pictures.push_back(static_cast<std::int64_t>(read_clip(rows.files[row], wish).size()));
    shapes.push_back(*shape);
  }
  propose_size(rows, shapes, kClipsLookedAt, kLargestClipSide, proposal);
  const auto length = range(pictures);
  proposal.frames = std::min(kClipFrames, length[2]);
  proposal.stride = std::max<std::int64_t>(1, length[1] / kClipFrames);
  proposal.why_frames = fmt::format(
      "{} have {} pictures{}",
      they(rows.files.size(), kClipsLookedAt),
      length[0] == length[2] ? std::to_string(length[0])
                             : fmt::format("{} to {}", length[0], length[2]),
      proposal.stride > 1 ? fmt::format("; every {}th is a frame, so that {} frames span "
                                        "a clip of about the middle length",
                                        proposal.stride,
                                        proposal.frames)
                          : "");
  proposal.model = "convnet3d";
}

void propose_frames(const SoundRows& sounds, FileProposal& proposal) {
  const FileRows& rows = sounds.rows();
  std::vector<std::int64_t> frames;
  std::int64_t rate = 0;
  for (const std::size_t row : spread_rows(rows.files.size(), kLookedAt)) {
    const Sound sound = sounds.read(row);
    DETENTE_CHECK(rate == 0 || rate == sound.rate,
                  ErrorCode::kData,
                  "[data::propose_files] {} has {} samples a second, {} has {}; expected one rate. "
                  "Bring all to one (ffmpeg -i IN -ar {} OUT.wav).",
                  sounds.name(row),
                  sound.rate,
                  sounds.name(0),
                  rate,
                  rate);
    rate = sound.rate;
    frames.push_back(
        static_cast<std::int64_t>(LogMel({.mels = 1}, rate).frames(sound.samples.size())));
  }
  std::sort(frames.begin(), frames.end());
  const std::int64_t most = frames[frames.size() - 1 - frames.size() / 20];
  if (frames.front() != frames.back() || most > kProposedFrames || rows.files.size() > kLookedAt) {
    proposal.frames = std::clamp<std::int64_t>(most, 8, kProposedFrames);
    proposal.why_frames = fmt::format(
        "A frame is 10 ms. {} have {} to {}; {}",
        they(rows.files.size()),
        frames.front(),
        frames.back(),
        most > kProposedFrames ? "10 s about the middle are kept, longer ones take long to train"
                               : "19 in 20 are whole, the others are cut about their middle");
  } else if (most < 8) {
    proposal.frames = 8;
    proposal.why_frames = "They are shorter; silence is added";
  }
  proposal.channels = {16, 32, 64};
  // Bands narrower than the frequencies of a window would hold none.
  for (; proposal.mels > 1; proposal.mels /= 2) {
    try {
      LogMel({.mels = proposal.mels}, rate);
      break;
    } catch (const Error&) {
      continue;
    }
  }
  while (proposal.channels.size() > 1 &&
         (proposal.mels >> static_cast<unsigned>(proposal.channels.size())) == 0) {
    proposal.channels.pop_back();
  }
}

ProposedTask label_task(const ClassTable& classes, const std::string& path) {
  const std::vector<std::string> names = classes.names();
  DETENTE_CHECK(names.size() >= 2,
                ErrorCode::kData,
                "[data::propose_files] '{}' has one folder, '{}', and so one class; expected a "
                "folder for each of two or more.",
                path,
                names.front());
  ProposedTask task;
  task.name = task.column = "label";
  task.kind = TaskKind::kClasses;
  task.class_names = names;
  task.why = fmt::format("a class for each of the {} folders, by its name", names.size());
  return task;
}

FileRows rows_of(const ImageListing& listing, const std::string& kind) {
  if (kind == "images") return *list_files(listing, kImageFiles);
  if (kind == "video") return list_clips(listing);
  return SoundRows(listing, PcmIndex{}).rows();
}

FileRows rows_of_folder(const std::string& path,
                        const std::vector<std::string>& targets,
                        FileProposal& proposal) {
  const Counts counts = count_files(path);
  DETENTE_CHECK(
      counts.images + counts.sounds + counts.clips > 0,
      ErrorCode::kData,
      "[data::propose_files] the folder '{}' holds neither images nor recordings nor clips; "
      "expected "
      "a folder per class with .wav files, with videos, or with {}, in it; or name a table.",
      path,
      kImageFiles.endings);
  const int kinds =
      (counts.images > 0 ? 1 : 0) + (counts.sounds > 0 ? 1 : 0) + (counts.clips > 0 ? 1 : 0);
  DETENTE_CHECK(
      kinds == 1,
      ErrorCode::kData,
      "[data::propose_files] the folder '{}' holds images ({}), recordings ({}) and clips ({}); "
      "expected one of them.",
      path,
      counts.images,
      counts.sounds,
      counts.clips);
  proposal.kind = counts.images > 0 ? "images" : counts.sounds > 0 ? "audio" : "video";
  FileRows rows = rows_of({.path = path}, proposal.kind);
  for (const std::string& target : targets) {
    DETENTE_CHECK(
        target == "label",
        ErrorCode::kData,
        "[data::propose_files] '{}' is no column of the folder '{}'; expected label, which "
        "is the name of the folder a file is in.",
        target,
        path);
  }
  proposal.tasks.push_back(label_task(rows.classes, path));
  proposal.why_targets = "the folders";
  proposal.notes = rows.warnings;
  return rows;
}

// Nothing where no column names files.
std::optional<FileRows> rows_of_list(const std::string& path,
                                     TableFormat format,
                                     const std::vector<std::string>& targets,
                                     FileProposal& proposal) {
  const Table table = Table::read(path, format);
  proposal.column = column_of_files(table, has_image_name);
  proposal.kind = "images";
  if (proposal.column.empty()) {
    proposal.column = column_of_files(table, has_sound_name);
    proposal.kind = "audio";
  }
  if (proposal.column.empty()) {
    // Folders are known by what is in them: one that is missing makes no other column of it.
    proposal.column = column_of_files(table, is_clip, kClipShare);
    proposal.kind = "video";
    for (std::size_t i = 0; !proposal.column.empty() && i < table.rows(); ++i) {
      const std::string cell(trim(table.cell(i, table.column_index(proposal.column))));
      DETENTE_CHECK(!cell.empty() && is_clip(fs::path(path).parent_path() / cell),
                    ErrorCode::kData,
                    "[data::propose_files] line {} of '{}' names '{}', which is no clip; expected "
                    "a video, or a "
                    "folder of pictures, as in the other lines.",
                    table.line(i),
                    path,
                    cell);
    }
  }
  if (proposal.column.empty()) return std::nullopt;
  FileRows rows =
      rows_of({.path = path, .format = format, .column = proposal.column}, proposal.kind);
  proposal.split_column = column_of_parts(table);
  const Table rest = without_columns(table, {proposal.column, proposal.split_column});
  proposal.tasks =
      internal::propose_targets(rest, survey_columns(rest), targets, proposal.why_targets);
  return rows;
}

}  // namespace

namespace internal {

// Every part has a target of every task.
void propose_split(const Table& table, FileProposal& proposal) {
  if (!proposal.split_column.empty()) return;
  proposal.dev = 0.15;
  proposal.test = table.rows() >= kFilesForTest ? 0.15 : 0;
  Split split{.dev = proposal.dev, .test = proposal.test, .seed = 0};
  const auto labelled = [&](const ProposedTask& task, const RowList& rows) {
    const std::size_t column = table.column_index(task.column);
    return std::any_of(rows.begin(), rows.end(), [&](std::size_t row) {
      return !is_missing(table.cell(row, column)) || !task.class_names.empty();
    });
  };
  for (; split.seed < kSplitSeeds; ++split.seed) {
    bool usable = true;
    for (const Part part : {Part::kTrain, Part::kDev, Part::kTest}) {
      if (!split.has(part)) continue;
      const RowList rows = split.rows(part, table);
      for (const ProposedTask& task : proposal.tasks) usable = usable && labelled(task, rows);
    }
    proposal.split_seed = split.seed;
    if (usable) return;
  }
  fail(
      ErrorCode::kData,
      "[data::propose_files] no split of the {} rows of '{}' leaves a target of every task in each "
      "part; expected more rows, or name fewer targets.",
      table.rows(),
      table.source());
}

void propose_training(FileProposal& proposal) {
  const auto rows = static_cast<double>(proposal.rows);
  proposal.batch_size = rows < 1000 ? 16 : rows < 10000 ? 32 : 64;
  const double epochs = 2000.0 * static_cast<double>(proposal.batch_size) / rows;
  proposal.epochs = std::llround(std::clamp(epochs, 3.0, 40.0));
}

std::vector<std::int64_t> propose_channels(std::size_t shortest, std::int64_t first) {
  std::vector<std::int64_t> channels = {first};
  for (std::size_t side = shortest / 2; side >= 4 && channels.size() < 3; side /= 2) {
    channels.push_back(2 * channels.back());
  }
  return channels;
}

}  // namespace internal

std::optional<FileProposal> propose_files(const std::string& path,
                                          TableFormat format,
                                          const std::vector<std::string>& targets) {
  FileProposal proposal;
  std::error_code ignored;
  const bool folder = fs::is_directory(path, ignored);
  const std::optional<FileRows> rows = folder ? rows_of_folder(path, targets, proposal)
                                              : rows_of_list(path, format, targets, proposal);
  if (!rows) return std::nullopt;
  proposal.rows = rows->files.size();
  DETENTE_CHECK(
      proposal.rows >= 2,
      ErrorCode::kData,
      "[data::propose_files] '{}' names {} file; expected at least 2, one to train on and "
      "one to choose the epoch by.",
      path,
      proposal.rows);
  if (proposal.kind == "images") {
    propose_form(*rows, proposal);
  } else if (proposal.kind == "video") {
    propose_clips(*rows, proposal);
  } else {
    const ImageListing listing{
        .path = path, .format = format, .column = folder ? "audio" : proposal.column};
    propose_frames(SoundRows(listing, PcmIndex{}), proposal);
  }
  internal::propose_split(rows->table, proposal);
  internal::propose_training(proposal);
  return proposal;
}

}  // namespace detente::data
