// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/core/suggest.h>
#include <detente/data/array_source.h>
#include <detente/data/audio_source.h>
#include <detente/data/dense_source.h>
#include <detente/data/graph_source.h>
#include <detente/data/image_source.h>
#include <detente/data/joined_source.h>
#include <detente/data/pair_source.h>
#include <detente/data/slide_source.h>
#include <detente/data/source.h>
#include <detente/data/table_source.h>
#include <detente/data/text_source.h>
#include <detente/data/video_source.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

namespace detente::data {
namespace {

namespace fs = std::filesystem;

struct SourceKind {
  const char* name;
  std::unique_ptr<Source> (*make)();
};

const auto& source_table() {
  static const std::array kinds = {
      SourceKind{"pairs", [] { return std::unique_ptr<Source>(std::make_unique<PairSource>()); }},
      SourceKind{"table", [] { return std::unique_ptr<Source>(std::make_unique<TableSource>()); }},
      SourceKind{"text", [] { return std::unique_ptr<Source>(std::make_unique<TextSource>()); }},
      SourceKind{"images", [] { return std::unique_ptr<Source>(std::make_unique<ImageSource>()); }},
      SourceKind{"graph", [] { return std::unique_ptr<Source>(std::make_unique<GraphSource>()); }},
      SourceKind{"dense", [] { return std::unique_ptr<Source>(std::make_unique<DenseSource>()); }},
      SourceKind{"audio", [] { return std::unique_ptr<Source>(std::make_unique<AudioSource>()); }},
      SourceKind{"arrays", [] { return std::unique_ptr<Source>(std::make_unique<ArraySource>()); }},
      SourceKind{"video", [] { return std::unique_ptr<Source>(std::make_unique<VideoSource>()); }},
      SourceKind{"slides", [] { return std::unique_ptr<Source>(std::make_unique<SlideSource>()); }},
      SourceKind{"joined",
                 [] { return std::unique_ptr<Source>(std::make_unique<JoinedSource>()); }},
  };
  return kinds;
}

fs::path place_for_temporaries() {
  std::error_code error;
  fs::path root = fs::temp_directory_path(error);
  return error ? fs::current_path() : root;
}

}  // namespace

const Array* find_array(const Batch& batch, std::string_view name) {
  for (const Array& array : batch) {
    if (array.name == name) return &array;
  }
  return nullptr;
}

const Array& array_of(const Batch& batch, std::string_view name) {
  const Array* array = find_array(batch, name);
  if (array == nullptr) {
    fail(ErrorCode::kInternal, "[data::array_of] the batch has no array '{}'.", name);
  }
  return *array;
}

std::vector<ShownColumn> shown_columns(const std::optional<Table>& table) {
  std::vector<ShownColumn> columns;
  if (!table) return columns;
  for (const std::string& name : table->column_names()) {
    const auto cells = table->text_column(name);
    columns.push_back({name, {cells.begin(), cells.end()}});
  }
  return columns;
}

void Source::read(const SourceInput& input, const Source* fitted) {
  DETENTE_CHECK(fitted == nullptr || std::string_view(fitted->kind()) == kind(),
                ErrorCode::kInvalidArgument,
                "[data::Source] a source of kind '{}' cannot encode examples of kind '{}'.",
                fitted == nullptr ? "" : fitted->kind(),
                kind());
  targets_.clear();
  warnings_.clear();
  origin_names_.clear();
  origins_.clear();
  read_rows(input, fitted);
}

void Source::take_places(const Table& table) {
  origin_names_ = table.origins();
  place_files_.assign(std::max<std::size_t>(origin_names_.size(), 1), "");
  if (origin_names_.empty()) place_files_[0] = table.source();
  place_rows_.clear();
  place_lines_.clear();
  records_ = table.has_records();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    place_rows_.push_back(table.place(row));
    if (table.has_lines()) place_lines_.push_back(table.line(row));
    if (origin_names_.empty()) continue;
    origins_.push_back(static_cast<std::uint32_t>(table.origin(row)));
    std::string& file = place_files_[table.origin(row)];
    if (file.empty()) file = table.source(row);
  }
}

void Source::take_places(const std::string& file, std::vector<std::size_t> rows) {
  place_files_ = {file};
  place_rows_ = std::move(rows);
  place_lines_.clear();
  records_ = false;
}

RowPlace Source::place(std::size_t row) const {
  DETENTE_DCHECK(row < place_rows_.size());
  return {place_files_[origins_.empty() ? 0 : origins_[row]],
          place_rows_[row],
          place_lines_.empty() ? 0 : place_lines_[row]};
}

bool Source::is_text() const {
  const std::vector<InputColumn> columns = input_columns();
  return records_ && !columns.empty() &&
         std::none_of(columns.begin(), columns.end(), [](const InputColumn& column) {
           return column.kind == "file";
         });
}

void Source::exchange(std::size_t /*input*/, const Batch& /*others*/, Batch& /*batch*/) const {
  fail(ErrorCode::kInternal, "[data::Source] the inputs of data.kind {} are whole.", kind());
}

Batch Source::target_batch(std::span<const std::size_t> rows, const Rng* /*augment*/) const {
  Batch batch;
  for (const Target& target : targets_) {
    std::vector<double> values;
    values.reserve(rows.size() * target.columns);
    for (const std::size_t row : rows) {
      const auto begin = target.values.begin() + static_cast<std::ptrdiff_t>(row * target.columns);
      values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(target.columns));
    }
    std::vector<std::size_t> shape = {rows.size()};
    if (target.columns > 1) shape.push_back(target.columns);
    batch.push_back({target.task, std::move(shape), std::move(values)});
  }
  return batch;
}

std::string Source::digest() const {
  constexpr std::size_t kRows = 256;
  std::uint32_t crc = 0;
  const auto take = [&crc](const Batch& batch) {
    for (const Array& array : batch) {
      crc = crc32c(array.name, crc);
      std::visit(
          [&crc](const auto& values) {
            using Value = typename std::decay_t<decltype(values)>::value_type;
            const std::uint64_t count = values.size();
            crc = crc32c({reinterpret_cast<const char*>(&count), sizeof(count)}, crc);
            crc =
                crc32c({reinterpret_cast<const char*>(values.data()), count * sizeof(Value)}, crc);
          },
          array.values);
    }
  };
  RowList rows;
  for (std::size_t row = 0; row < size(); ++row) {
    rows.push_back(row);
    if (rows.size() < kRows && row + 1 < size()) continue;
    take(batch(rows, nullptr));
    take(target_batch(rows));
    rows.clear();
  }
  return "crc32c:" + crc32c_text(crc);
}

std::map<std::string, std::string> saved_files(const Source& fitted) {
  const TemporaryFolder folder(place_for_temporaries());
  fitted.save(folder.path());
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), folder.path()).generic_string()] = read_file(entry.path());
  }
  return files;
}

void load_files(Source& source, const std::map<std::string, std::string>& files) {
  const TemporaryFolder folder(place_for_temporaries());
  for (const auto& [name, content] : files) {
    const fs::path path = fs::path(name).lexically_normal();
    DETENTE_CHECK(path.is_relative() && !path.empty() && *path.begin() != "..",
                  ErrorCode::kData,
                  "[data::load_files] '{}' is no path inside a run's folder.",
                  name);
    make_directories((folder.path() / path).parent_path());
    write_own_file(folder.path() / path, content);
  }
  source.load(folder.path());
}

std::vector<std::string> source_kinds() {
  std::vector<std::string> names;
  for (const SourceKind& kind : source_table()) names.emplace_back(kind.name);
  return names;
}

std::unique_ptr<Source> make_source(std::string_view kind) {
  for (const SourceKind& entry : source_table()) {
    if (entry.name == kind) return entry.make();
  }
  const auto names = source_kinds();
  fail(ErrorCode::kInvalidArgument,
       "[data::make_source] '{}' is not a kind of data; {}",
       kind,
       expected_one_of(kind, names));
}

}  // namespace detente::data
