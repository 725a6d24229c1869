// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/suggest.h>
#include <detente/data/image_rows.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace detente::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImage = "image";
constexpr const char* kLabel = "label";

void check_name(const fs::path& path) {
  DETENTE_CHECK(text::find_invalid_utf8(path.string()) == std::string::npos,
                ErrorCode::kData,
                "[data::list_images] the name of '{}' is not valid UTF-8; rename it.",
                path.string());
}

// Ascending; without names that begin with a dot.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string().front() != '.') entries.push_back(at->path());
  }
  DETENTE_CHECK(!error,
                ErrorCode::kIo,
                "[data::list_images] cannot read the folder '{}': {}.",
                folder.string(),
                error.message());
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) check_name(entry);
  return entries;
}

// The files of a kind in a folder; what else it holds is counted.
std::vector<fs::path> files_in(const fs::path& folder,
                               const FileKind& kind,
                               std::vector<std::string>& warnings) {
  std::vector<fs::path> images;
  std::vector<fs::path> others;
  for (const fs::path& entry : entries_of(folder)) {
    (kind.fits(entry) ? images : others).push_back(entry);
  }
  if (!others.empty()) {
    warnings.push_back(fmt::format("{} of '{}' {} left out, not named {}: {}{}.",
                                   others.size(),
                                   folder.string(),
                                   others.size() == 1 ? "is" : "are",
                                   kind.endings,
                                   others.front().filename().string(),
                                   others.size() == 1 ? "" : ", ..."));
  }
  return images;
}

// --- rows whose table is made here ----------------------------------------------------------------

// Collects the columns `image` (or another word), `label` and those of the classes.
class RowMaker {
 public:
  RowMaker(const ClassTable& classes, bool labels, const char* word = kImage) : classes_(classes) {
    names_.emplace_back(word);
    if (labels) {
      if (classes.empty()) {
        names_.emplace_back(kLabel);
      } else {
        names_.insert(names_.end(), classes.columns.begin(), classes.columns.end());
      }
    }
    columns_.resize(names_.size());
  }

  void add(std::string image) { columns_[0].push_back(std::move(image)); }
  // The label of the row added last.
  void label(std::size_t id) {
    if (classes_.empty()) {
      columns_[1].push_back(std::to_string(id));
      return;
    }
    for (std::size_t c = 0; c < classes_.columns.size(); ++c) {
      columns_[1 + c].push_back(classes_.cells[id][c]);
    }
  }
  Table table(const std::string& source) { return Table::made(names_, columns_, source); }

 private:
  const ClassTable& classes_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> columns_;
};

// --- folders --------------------------------------------------------------------------------------

struct ClassFolder {
  std::size_t id = 0;
  std::vector<fs::path> images;
};

// Subfolders, without links in circles: only one level is read.
std::vector<fs::path> subfolders(const fs::path& folder) {
  std::vector<fs::path> folders = entries_of(folder);
  std::erase_if(folders, [](const fs::path& entry) {
    std::error_code ignored;
    return !fs::is_directory(entry, ignored);
  });
  return folders;
}

FileRows flat_folder(const ImageListing& listing, const FileKind& kind, FileRows rows) {
  rows.files = files_in(listing.path, kind, rows.warnings);
  DETENTE_CHECK(
      !rows.files.empty(),
      ErrorCode::kData,
      "[data::list_images] the folder '{}' holds no {}; expected {} files, or a folder of "
      "them per class.",
      listing.path,
      kind.word,
      kind.endings);
  DETENTE_CHECK(!listing.labels,
                ErrorCode::kData,
                "[data::list_images] the folder '{}' holds {} files but no folders; expected a "
                "folder per class, named like it, with its files in it.",
                listing.path,
                kind.word);
  RowMaker maker(rows.classes, false, kind.word);
  for (const fs::path& file : rows.files) maker.add(file.filename().string());
  rows.table = maker.table(listing.path);
  return rows;
}

FileRows list_folder(const ImageListing& listing, const FileKind& kind) {
  FileRows rows{Table::made({}, {}, listing.path), {}, listing.classes, {}, false};
  const std::vector<fs::path> folders = subfolders(listing.path);
  if (folders.empty()) return flat_folder(listing, kind, std::move(rows));
  for (const fs::path& entry : entries_of(listing.path)) {
    DETENTE_CHECK(!kind.fits(entry) || fs::is_directory(entry),
                  ErrorCode::kData,
                  "[data::list_images] '{}' stands beside the folders of classes and has none; "
                  "expected {} files within them.",
                  entry.string(),
                  kind.word);
  }
  if (rows.classes.empty()) {
    rows.classes.columns = {kLabel};
    for (const fs::path& folder : folders)
      rows.classes.cells.push_back({folder.filename().string()});
  }
  const std::vector<std::string> names = rows.classes.names();
  std::vector<ClassFolder> found;
  for (const fs::path& folder : folders) {
    const std::string name = folder.filename().string();
    const auto known = std::find(names.begin(), names.end(), name);
    DETENTE_CHECK(known != names.end() || !listing.labels,
                  ErrorCode::kData,
                  "[data::list_images] '{}' is a folder of a class that {} does not have; {}",
                  folder.string(),
                  "the training data (or data.class_file)",
                  expected_one_of(name, names));
    found.push_back(
        {static_cast<std::size_t>(known - names.begin()), files_in(folder, kind, rows.warnings)});
    DETENTE_CHECK(
        !found.back().images.empty(),
        ErrorCode::kData,
        "[data::list_images] the class folder '{}' holds no {}; expected {} files. Fill or "
        "remove it.{}",
        folder.string(),
        kind.word,
        kind.endings,
        kind.fits(folder) ? " Where it is one itself, put all of them into one more folder, or "
                            "name them in a list."
                          : "");
  }
  // One of each class after the other, so that the first n rows hold all classes alike.
  RowMaker maker(rows.classes, listing.labels, kind.word);
  bool more = true;
  for (std::size_t i = 0; more; ++i) {
    more = false;
    for (const ClassFolder& entry : found) {
      if (i >= entry.images.size()) continue;
      more = true;
      rows.files.push_back(entry.images[i]);
      maker.add(fs::path(entry.images[i]).lexically_relative(listing.path).string());
      if (listing.labels) maker.label(entry.id);
    }
  }
  rows.table = maker.table(listing.path);
  return rows;
}

// --- lists ----------------------------------------------------------------------------------------

FileRows list_table(const ImageListing& listing, const FileKind& kind) {
  FileRows rows{
      listing.given != nullptr ? *listing.given : Table::read(listing.path, listing.format),
      {},
      listing.classes,
      {},
      true};
  const std::size_t column = rows.table.column_index(listing.column);
  const fs::path folder = fs::path(listing.path).parent_path();
  for (std::size_t i = 0; i < rows.table.rows(); ++i) {
    const std::string name(trim(rows.table.cell(i, column)));
    DETENTE_CHECK(!name.empty(),
                  ErrorCode::kData,
                  "[data::list_images] line {} of '{}' names no {}; expected a file in column "
                  "'{}'.",
                  rows.table.line(i),
                  listing.path,
                  kind.word,
                  listing.column);
    rows.files.push_back(folder / name);
  }
  return rows;
}

// --- idx and CIFAR --------------------------------------------------------------------------------

// The files that a name with a `*` stands for.
std::vector<std::string> files_of(const std::string& path) {
  std::error_code ignored;
  const std::string pattern = fs::path(path).filename().string();
  const std::size_t star = pattern.find('*');
  if (star == std::string::npos || fs::exists(path, ignored)) return {path};
  const std::string before = pattern.substr(0, star);
  const std::string after = pattern.substr(star + 1);
  std::vector<std::string> files;
  for (const fs::path& entry : entries_of(fs::path(path).parent_path())) {
    const std::string name = entry.filename().string();
    if (name.size() + 1 >= pattern.size() && name.starts_with(before) && name.ends_with(after)) {
      files.push_back(entry.string());
    }
  }
  DETENTE_CHECK(!files.empty(),
                ErrorCode::kIo,
                "[data::list_images] there is no file '{}', whatever the * stands for.",
                path);
  return files;
}

std::vector<std::uint8_t> labels_beside(const std::string& images, std::size_t count) {
  const std::string path = idx_labels_file(images);
  DETENTE_CHECK(!path.empty(),
                ErrorCode::kData,
                "[data::list_images] where are the labels of '{}'? Expected a file name with "
                "'images' in it, as train-images-idx3-ubyte.gz; its labels are then in "
                "train-labels-idx1-ubyte.gz.",
                images);
  std::vector<std::uint8_t> labels = parse_idx_labels(read_file(path), path);
  DETENTE_CHECK(labels.size() == count,
                ErrorCode::kData,
                "[data::list_images] '{}' has {} labels for the {} images of '{}'; expected one "
                "for each.",
                path,
                labels.size(),
                count,
                images);
  return labels;
}

LabelledBlock read_block(const std::string& path, bool labels) {
  const std::string bytes = read_file(path);
  if (!is_idx(bytes) && is_cifar10(bytes)) return parse_cifar10(bytes, path);
  // What is nearly idx is told what is wrong with it.
  DETENTE_CHECK(
      bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0,
      ErrorCode::kData,
      "[data::list_images] '{}' ({} bytes) is neither an idx file (which begins with 0 0 8 3) nor "
      "CIFAR-10 (records of 3,073 bytes that begin with a label from 0 to 9){}",
      path,
      bytes.size(),
      has_image_name(path)
          ? "; a single picture is no data set: name its folder, or a list."
          : "; other pictures go into a folder per class or into a list (.csv or .tsv).");
  LabelledBlock block{parse_idx_images(bytes, path), {}};
  if (labels) block.labels = labels_beside(path, block.images.count);
  return block;
}

ImageRows list_blocks(const ImageListing& listing) {
  ImageRows rows{{Table::made({}, {}, listing.path), {}, listing.classes, {}, false}, {}};
  RowMaker maker(rows.classes, listing.labels);
  const auto files = files_of(listing.path);
  for (const std::string& file : files) {
    LabelledBlock block = read_block(file, listing.labels);
    DETENTE_CHECK(rows.block.count == 0 || rows.block.shape == block.images.shape,
                  ErrorCode::kData,
                  "[data::list_images] the images of '{}' have another size or other channels than "
                  "those of '{}'; expected one form.",
                  file,
                  files.front());
    for (std::size_t i = 0; i < block.images.count; ++i) {
      maker.add(std::to_string(rows.block.count + i));
      if (!listing.labels) continue;
      DETENTE_CHECK(rows.classes.empty() || block.labels[i] < rows.classes.cells.size(),
                    ErrorCode::kData,
                    "[data::list_images] image {} (from 0) of '{}' has the label {}; "
                    "data.class_file names the classes 0 to {} alone.",
                    i,
                    file,
                    block.labels[i],
                    rows.classes.cells.size() - 1);
      maker.label(block.labels[i]);
    }
    rows.block.shape = block.images.shape;
    rows.block.count += block.images.count;
    if (rows.block.values.empty()) {
      rows.block.values = std::move(block.images.values);
    } else {
      rows.block.values.insert(
          rows.block.values.end(), block.images.values.begin(), block.images.values.end());
    }
  }
  rows.table = maker.table(listing.path);
  return rows;
}

void check_classes(const ClassTable& classes, const std::string& source) {
  DETENTE_CHECK(!classes.empty(),
                ErrorCode::kData,
                "[data::read_class_file] '{}' names no class; expected one a line.",
                source);
  std::unordered_set<std::string> seen;
  for (const auto& cells : classes.cells) {
    DETENTE_CHECK(
        !trim(cells.front()).empty() && seen.insert(cells.front()).second,
        ErrorCode::kData,
        "[data::read_class_file] '{}' names the class '{}' {}; expected a name of its own "
        "for each.",
        source,
        cells.front(),
        trim(cells.front()).empty() ? "without a name" : "twice");
  }
}

}  // namespace

std::vector<std::string> ClassTable::names() const {
  std::vector<std::string> names;
  for (const auto& row : cells) names.push_back(row.front());
  return names;
}

Json ClassTable::to_json() const { return {{"columns", columns}, {"cells", cells}}; }

ClassTable ClassTable::from_json(const Json& json, const std::string& source) {
  ClassTable classes;
  bool good = json.is_object() && json.contains("columns") && json.contains("cells") &&
              json["columns"].is_array() && json["cells"].is_array();
  const auto texts = [&good](const Json& list) {
    std::vector<std::string> result;
    good = good && list.is_array();
    for (const Json& entry : list) {
      good = good && entry.is_string();
      if (good) result.push_back(entry.get<std::string>());
    }
    return result;
  };
  if (good) {
    classes.columns = texts(json["columns"]);
    for (const Json& row : json["cells"]) {
      classes.cells.push_back(texts(row));
      good = good && classes.cells.back().size() == classes.columns.size();
    }
    good = good && (classes.cells.empty() || !classes.columns.empty());
  }
  DETENTE_CHECK(good,
                ErrorCode::kData,
                "[data::ImageSource] the classes in '{}' are damaged; expected a name for each.",
                source);
  return classes;
}

ClassTable parse_class_names(const std::string& content, const std::string& source) {
  ClassTable classes{{kLabel}, {}};
  DETENTE_CHECK(text::find_invalid_utf8(content) == std::string::npos &&
                    content.find('\0') == std::string::npos,
                ErrorCode::kData,
                "[data::read_class_file] '{}' is not valid UTF-8 text.",
                source);
  std::string_view rest = content;
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    classes.cells.push_back({std::string(trim(line))});
  }
  while (!classes.empty() && classes.cells.back().front().empty()) classes.cells.pop_back();
  check_classes(classes, source);
  return classes;
}

ClassTable read_class_file(const std::filesystem::path& path) {
  if (lower_ascii(path.extension().string()) == ".txt") {
    return parse_class_names(read_file(path), path.string());
  }
  const Table table = Table::read(path);
  ClassTable classes;
  classes.columns = table.column_names();
  classes.columns.front() = kLabel;
  for (std::size_t c = 1; c < classes.columns.size(); ++c) {
    DETENTE_CHECK(classes.columns[c] != kLabel && classes.columns[c] != kImage,
                  ErrorCode::kData,
                  "[data::read_class_file] '{}' has a column '{}' beside its first, which is the "
                  "label; expected another name.",
                  path.string(),
                  classes.columns[c]);
  }
  for (std::size_t i = 0; i < table.rows(); ++i) {
    std::vector<std::string> cells;
    for (std::size_t c = 0; c < table.columns(); ++c) cells.emplace_back(table.cell(i, c));
    classes.cells.push_back(std::move(cells));
  }
  check_classes(classes, path.string());
  return classes;
}

bool has_table_name(const std::string& path) {
  fs::path name = lower_ascii(fs::path(path).filename().string());
  if (name.extension() == ".gz") name = name.stem();
  const std::string ending = name.extension().string();
  return ending == ".tsv" || ending == ".tab" || ending == ".txt" || ending == ".csv" ||
         ending == ".jsonl";
}

std::optional<FileRows> list_files(const ImageListing& listing, const FileKind& kind) {
  if (listing.given != nullptr) return list_table(listing, kind);
  std::error_code ignored;
  if (fs::is_directory(listing.path, ignored)) return list_folder(listing, kind);
  if (listing.format != TableFormat::kAuto || has_table_name(listing.path)) {
    return list_table(listing, kind);
  }
  return std::nullopt;
}

ImageRows list_images(const ImageListing& listing) {
  if (std::optional<FileRows> rows = list_files(listing, {})) return {std::move(*rows), {}};
  return list_blocks(listing);
}

FileRows list_sources(const SourceFiles& files,
                      Part part,
                      const ImageListing& listing,
                      const FileKind& kind) {
  FileRows all{Table::made({}, {}, files.file(part)), {}, listing.classes, {}, true};
  std::vector<NamedTable> tables;
  for (const NamedFiles& source : files.sources) {
    if (!source.files.has(part)) continue;
    of_source(source.name, [&] {
      ImageListing own = listing;
      own.path = source.files.file(part);
      own.format = source.files.format;
      const std::optional<FileRows> rows = list_files(own, kind);
      DETENTE_CHECK(
          rows && rows->is_list,
          ErrorCode::kData,
          "[data::list_images] '{}' is no list; with data.sources expected tables (.csv or "
          ".tsv) with a column '{}' that names the files.",
          own.path,
          own.column);
      const RowList chosen = source.files.chosen_rows(part, rows->table);
      tables.push_back({source.name, rows->table.select(chosen)});
      for (const std::size_t row : chosen) all.files.push_back(rows->files[row]);
      all.warnings.insert(all.warnings.end(), rows->warnings.begin(), rows->warnings.end());
    });
  }
  all.table = Table::joined(tables);
  return all;
}

bool is_label(std::string_view column) {
  return column == kLabel || column == "left_label" || column == "right_label";
}

void name_classes(TargetColumn& target, const ClassTable& classes) {
  if (!is_label(target.column) || target.kind != TaskKind::kClasses || !target.class_names.empty())
    return;
  const std::vector<std::string> names = classes.names();
  if (names.empty()) return;
  DETENTE_CHECK(static_cast<std::int64_t>(names.size()) <= target.classes,
                ErrorCode::kData,
                "[data::name_classes] task '{}' has {} classes, but there are {}: {}. Set its "
                "'classes' or name them in 'class_names'.",
                target.task,
                target.classes,
                names.size(),
                join_names(names));
  target.class_names = names;
}

}  // namespace detente::data
