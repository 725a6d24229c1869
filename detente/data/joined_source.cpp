// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/suggest.h>
#include <detente/data/image_source.h>
#include <detente/data/joined_source.h>
#include <detente/data/video_source.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <unordered_set>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kJoinedFormat = "detente-joined-1";
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
constexpr std::uint64_t kFirstPartStream = 0x70617274;

std::filesystem::path joined_file(const std::filesystem::path& run) { return run / "joined.json"; }

std::string array_prefix(const std::string& part) { return part + "/"; }

// Whose fault it is.
template <class Body>
void in_part(const std::string& name, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    fail(error.code(), "{} This is part '{}' of data.parts.", error.what(), name);
  }
}

PartColumns columns_of(const Source& source) {
  const std::string_view kind = source.kind();
  if (kind == "table") return {};
  return {source.named_inputs(), kind == "text" || kind == "pairs"};
}

void add_new(std::vector<std::string>& names, const std::vector<std::string>& more) {
  for (const std::string& name : more) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
}

}  // namespace

const std::vector<std::string>& JoinedSource::part_kinds() {
  static const std::vector<std::string> kinds = {
      "images", "audio", "video", "text", "pairs", "table", "arrays"};
  return kinds;
}

void JoinedSource::describe(FieldVisitor& data) {
  data.sections(
      "parts",
      parts_.size(),
      [this](std::size_t n) {
        parts_.clear();
        parts_.resize(n);
      },
      [this](std::size_t i, FieldVisitor& visitor) {
        Part& part = parts_[i];
        visitor.text("name", part.name, "What the part is called; each name once.");
        visitor.kind_text(
            "kind",
            part.kind,
            part_kinds(),
            [&](FieldVisitor& options) {
              if (part.source == nullptr ||
                  (!part.kind.empty() && part.kind != part.source->kind())) {
                part.source = make_source(part.kind.empty() ? part_kinds().front() : part.kind);
              }
              part.source->describe(options);
              part.source->describe_sections(options);
            },
            "A kind of data; its options stand beside it, with its tokenizer. It has to be said.");
        visitor.file(
            "file",
            part.place.file,
            "A file of this part alone, of any form its kind of data takes. Empty: its columns "
            "are in the list (data.train).");
        visitor.text(
            "key",
            part.place.key,
            "With file, a table: a column of the list and of the file; rows with the same cell "
            "belong together.");
        visitor.text(
            "row",
            part.place.row,
            "With file: a column of the list that says the number of the file's row, from 0. "
            "Without key and row, row i of the file belongs to row i of data.train.");
      },
      "What one example consists of: named parts of several kinds of data.");
}

void JoinedSource::add_part(std::string name, std::unique_ptr<Source> source, PartPlace place) {
  std::string kind = source->kind();
  parts_.push_back(
      {std::move(name), std::move(kind), std::move(place), std::move(source), false, {}});
}

void JoinedSource::resolve_paths(const std::filesystem::path& folder) {
  for (Part& part : parts_) {
    part.source->resolve_paths(folder);
    if (!part.place.file.empty()) part.place.file = absolute_path(part.place.file, folder);
  }
}

void JoinedSource::leave_out(const std::vector<std::string>& columns) {
  add_new(left_out_, columns);
}

std::vector<std::string> JoinedSource::named_inputs() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) {
    if (part.place.file.empty() && part.source != nullptr) {
      add_new(names, part.source->named_inputs());
    }
    for (const std::string* column : {&part.place.key, &part.place.row}) {
      if (!column->empty()) add_new(names, {*column});
    }
  }
  return names;
}

std::vector<std::string> JoinedSource::named_files() const {
  std::vector<std::string> files;
  for (const Part& part : parts_) {
    files.push_back(part.place.file);
    add_new(files, part.source->named_files());
  }
  return files;
}

std::unique_ptr<Source> JoinedSource::fresh() const {
  auto source = std::make_unique<JoinedSource>();
  source->left_out_ = left_out_;
  for (const Part& part : parts_) {
    source->parts_.push_back({part.name,
                              part.kind,
                              part.place,
                              part.source == nullptr ? nullptr : part.source->fresh(),
                              false,
                              {}});
  }
  return source;
}

void JoinedSource::check_options() const {
  DETENTE_CHECK(!parts_.empty(),
                ErrorCode::kInvalidArgument,
                "[data::JoinedSource] 'data.parts' is empty; expected a list of parts, each with a "
                "name, a kind and the kind's options.");
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    DETENTE_CHECK(!part.name.empty(),
                  ErrorCode::kInvalidArgument,
                  "[data::JoinedSource] 'data.parts[{}]' has no name.",
                  i);
    DETENTE_CHECK(part.name.find('/') == std::string::npos,
                  ErrorCode::kInvalidArgument,
                  "[data::JoinedSource] '{}' of data.parts has a '/' in its name; expected a name "
                  "without.",
                  part.name);
    DETENTE_CHECK(
        names.insert(part.name).second,
        ErrorCode::kInvalidArgument,
        "[data::JoinedSource] two of data.parts are called '{}'; expected each name once.",
        part.name);
    in_part(part.name, [&] {
      DETENTE_CHECK(!part.kind.empty(),
                    ErrorCode::kInvalidArgument,
                    "[data::JoinedSource] 'kind' is missing; expected one of: {}.",
                    join_names(part_kinds()));
      part.place.check();
      DETENTE_CHECK(part.kind != "arrays" || !part.place.file.empty(),
                    ErrorCode::kInvalidArgument,
                    "[data::JoinedSource] arrays are in no list; name their 'file'.");
      const auto* images = dynamic_cast<const ImageSource*>(part.source.get());
      const auto* clips = dynamic_cast<const VideoSource*>(part.source.get());
      DETENTE_CHECK(
          (images == nullptr || !images->overlays()) && (clips == nullptr || !clips->moves()),
          ErrorCode::kInvalidArgument,
          "[data::JoinedSource] '{}' makes examples that are no rows of the file; leave it "
          "out, or use data.kind: {}.",
          images != nullptr ? "overlay" : "moving",
          part.kind);
    });
  }
}

std::vector<std::string> JoinedSource::part_names() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) names.push_back(part.name);
  return names;
}

bool JoinedSource::has(std::size_t part, std::size_t row) const {
  return parts_.at(part).rows.at(row) != kNone;
}

std::vector<std::string> JoinedSource::no_inputs(std::size_t index,
                                                 const std::vector<TargetColumn>& targets) const {
  std::vector<std::string> names = left_out_;
  for (const TargetColumn& target : targets) add_new(names, target.file_columns());
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (i != index && part.place.file.empty()) add_new(names, part.source->named_inputs());
    add_new(names, {part.place.key, part.place.row});
  }
  return names;
}

// A table says so itself where it reads its targets, which here the list does.
void JoinedSource::check_targets(const std::vector<TargetColumn>& targets) const {
  for (const Part& part : parts_) {
    if (!part.place.file.empty()) continue;
    for (const std::string& name : part.source->named_inputs()) {
      for (const TargetColumn& target : targets) {
        const auto columns = target.file_columns();
        DETENTE_CHECK(std::find(columns.begin(), columns.end(), name) == columns.end(),
                      ErrorCode::kInvalidArgument,
                      "[data::JoinedSource] part '{}' of data.parts takes '{}', the target of task "
                      "'{}'; expected columns that are not asked for.",
                      part.name,
                      name,
                      target.task);
      }
    }
  }
}

void JoinedSource::read_rows(const SourceInput& input, const Source* fitted) {
  check_options();
  check_targets(input.targets);
  const auto* teacher = dynamic_cast<const JoinedSource*>(fitted);
  DETENTE_CHECK(teacher == nullptr || teacher->part_names() == part_names(),
                ErrorCode::kInvalidArgument,
                "[data::JoinedSource] the parts differ from those of the training examples.");
  Table whole = input.files.read_whole_table(input.part);
  RowList chosen = input.files.chosen_rows(input.part, whole);
  Table rows = whole.select(chosen);
  const bool own = !input.files.train.empty() && input.files.file(input.part) == input.files.train;
  const JoinedList list{std::move(whole), std::move(chosen), std::move(rows), own};
  table_ = list.rows;
  take_places(*table_);
  for (const TargetColumn& target : input.targets) {
    targets_.push_back(read_target(*table_, target, table_->rows(), warnings_));
  }
  costs_.assign(table_->rows(), 0);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    in_part(parts_[i].name, [&] { read_part(i, input, list, teacher); });
  }
  check_no_example_is_empty();
}

void JoinedSource::read_part(std::size_t index,
                             const SourceInput& input,
                             const JoinedList& list,
                             const JoinedSource* fitted) {
  Part& part = parts_[index];
  const PartRows found = rows_of_part(list, part.place, columns_of(*part.source));
  const std::size_t lacking = size() - found.examples.size();
  DETENTE_CHECK(fitted != nullptr || !found.examples.empty(),
                ErrorCode::kData,
                "[data::JoinedSource] no training row of '{}' has this part.",
                list.rows.source());
  part.rows.assign(size(), kNone);
  part.may_lack = fitted == nullptr ? lacking > 0 : fitted->parts_[index].may_lack;
  if (lacking > 0 && !part.may_lack) {
    warnings_.push_back(
        fmt::format("Part '{}' is missing for {} of {} rows of '{}', and for none of the training "
                    "rows: what the model says without it was never trained.",
                    part.name,
                    lacking,
                    size(),
                    list.rows.source()));
  }
  // What was fitted goes from source to source; a source without rows hands on nothing.
  if (found.examples.empty()) return;
  if (found.files.given != nullptr) {
    std::vector<std::string> columns = no_inputs(index, input.targets);
    std::erase_if(columns, [&](const auto& name) { return !found.files.given->has_column(name); });
    part.source->leave_out(columns);
  }
  SourceInput own{found.files, data::Part::kDev, {}, input.cache, input.threads};
  part.source->read(own, fitted == nullptr ? nullptr : fitted->parts_[index].source.get());
  for (const std::string& warning : part.source->warnings()) {
    warnings_.push_back(fmt::format("Part '{}': {}", part.name, warning));
  }
  for (std::size_t i = 0; i < found.examples.size(); ++i) {
    part.rows[found.examples[i]] = i;
    costs_[found.examples[i]] += part.source->costs()[i];
  }
}

void JoinedSource::check_no_example_is_empty() const {
  for (std::size_t row = 0; row < size(); ++row) {
    DETENTE_CHECK(
        std::any_of(parts_.begin(),
                    parts_.end(),
                    [&](const Part& part) { return part.rows[row] != kNone; }),
        ErrorCode::kData,
        "[data::JoinedSource] line {} of '{}' has none of the parts ({}); expected one or "
        "more. Leave the row out.",
        table_->line(row),
        table_->source(),
        join_names(part_names()));
  }
}

Batch JoinedSource::batch(std::span<const std::size_t> rows, const Rng* augment) const {
  std::vector<std::uint8_t> present(rows.size() * parts_.size(), 0);
  Batch batch(1);
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    std::vector<std::size_t> own;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t row = parts_[p].rows[rows[i]];
      if (row == kNone) continue;
      present[i * parts_.size() + p] = 1;
      own.push_back(row);
    }
    if (own.empty()) continue;
    // Of its own, or row 3 of one part would change as row 3 of another does.
    std::optional<Rng> stream;
    if (augment != nullptr) stream = augment->fork(kFirstPartStream + p);
    for (Array& array : parts_[p].source->batch(own, stream ? &*stream : nullptr)) {
      array.name.insert(0, array_prefix(parts_[p].name));
      batch.push_back(std::move(array));
    }
  }
  batch.front() = {kPresent, {rows.size(), parts_.size()}, std::move(present)};
  return batch;
}

Batch JoinedSource::part_batch(const std::string& part, const Batch& batch) {
  const std::string prefix = array_prefix(part);
  Batch own;
  for (const Array& array : batch) {
    if (!array.name.starts_with(prefix)) continue;
    own.push_back({array.name.substr(prefix.size()), array.shape, array.values});
  }
  return own;
}

void JoinedSource::switch_off(std::size_t part, Batch& batch) const {
  const std::string prefix = array_prefix(parts_.at(part).name);
  std::erase_if(batch, [&](const Array& array) { return array.name.starts_with(prefix); });
  for (Array& array : batch) {
    if (array.name != kPresent) continue;
    auto& present = std::get<std::vector<std::uint8_t>>(array.values);
    for (std::size_t i = part; i < present.size(); i += parts_.size()) present[i] = 0;
  }
}

void JoinedSource::exchange(std::size_t input, const Batch& others, Batch& batch) const {
  const std::string prefix = array_prefix(parts_.at(input).name);
  switch_off(input, batch);
  const auto& from = std::get<std::vector<std::uint8_t>>(array_of(others, kPresent).values);
  for (Array& array : batch) {
    if (array.name != kPresent) continue;
    auto& present = std::get<std::vector<std::uint8_t>>(array.values);
    for (std::size_t i = input; i < present.size(); i += parts_.size()) present[i] = from[i];
  }
  std::copy_if(others.begin(), others.end(), std::back_inserter(batch), [&](const Array& array) {
    return array.name.starts_with(prefix);
  });
}

std::vector<std::string> JoinedSource::notes() const {
  std::vector<std::string> notes;
  for (const Part& part : parts_) {
    const auto lacking =
        static_cast<std::size_t>(std::count(part.rows.begin(), part.rows.end(), kNone));
    if (lacking > 0) {
      notes.push_back(
          fmt::format("Part '{}' is missing for {} of {} rows.", part.name, lacking, size()));
    }
    for (const std::string& note : part.source->notes()) {
      notes.push_back(fmt::format("Part '{}': {}", part.name, note));
    }
  }
  return notes;
}

std::vector<InputColumn> JoinedSource::input_columns() const {
  std::vector<InputColumn> inputs;
  const auto add = [&](InputColumn column) {
    const auto same = [&](const InputColumn& known) { return known.name == column.name; };
    if (std::none_of(inputs.begin(), inputs.end(), same)) inputs.push_back(std::move(column));
  };
  for (const Part& part : parts_) {
    const PartPlace& place = part.place;
    if (!place.file.empty() && place.key.empty() && place.row.empty()) return {};
    if (!place.file.empty()) {
      add({place.key.empty() ? place.row : place.key, "file"});
    } else if (part.kind == "images" || part.kind == "audio" || part.kind == "video") {
      for (const std::string& name : part.source->named_inputs()) add({name, "file"});
    } else {
      for (const InputColumn& column : part.source->input_columns()) add(column);
    }
  }
  return inputs;
}

void JoinedSource::save(const std::filesystem::path& run) const {
  Json parts = Json::array();
  for (const Part& part : parts_) {
    parts.push_back({{"name", part.name},
                     {"kind", part.kind},
                     {"may_lack", part.may_lack},
                     {"files", saved_files(*part.source)}});
  }
  write_own_file(joined_file(run),
                 Json{{"format", kJoinedFormat}, {"parts", std::move(parts)}}.dump(1) + "\n");
}

void JoinedSource::load(const std::filesystem::path& run) {
  const std::string path = joined_file(run).string();
  const Json json = Json::parse(read_file(path), nullptr, false);
  const auto is_part = [](const Json& entry, const Part& part) {
    return entry.is_object() && entry.value("name", Json()) == part.name &&
           entry.value("kind", Json()) == part.kind && entry.contains("may_lack") &&
           entry["may_lack"].is_boolean() && entry.contains("files") && entry["files"].is_object();
  };
  bool good = json.is_object() && json.value("format", Json()) == kJoinedFormat &&
              json.contains("parts") && json["parts"].is_array() &&
              json["parts"].size() == parts_.size();
  for (std::size_t i = 0; good && i < parts_.size(); ++i) {
    good = is_part(json["parts"][i], parts_[i]);
  }
  DETENTE_CHECK(good,
                ErrorCode::kData,
                "[data::JoinedSource] '{}' is damaged or of another version; expected {} with the "
                "parts {}.",
                path,
                kJoinedFormat,
                join_names(part_names()));
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Json& entry = json["parts"][i];
    parts_[i].may_lack = entry["may_lack"].get<bool>();
    in_part(parts_[i].name, [&] {
      std::map<std::string, std::string> files;
      for (const auto& [name, content] : entry["files"].items()) {
        DETENTE_CHECK(content.is_string(),
                      ErrorCode::kData,
                      "[data::JoinedSource] '{}' holds '{}', which is no file of a part.",
                      path,
                      name);
        files[name] = content.get<std::string>();
      }
      load_files(*parts_[i].source, files);
    });
  }
}

Image JoinedSource::picture(std::size_t row) const {
  for (const Part& part : parts_) {
    if (part.rows.at(row) == kNone) continue;
    Image picture = part.source->picture(part.rows[row]);
    if (picture.shape.size() > 0) return picture;
  }
  return {};
}

std::optional<Sound> JoinedSource::sound(std::size_t row) const {
  for (const Part& part : parts_) {
    if (part.rows.at(row) == kNone) continue;
    if (auto sound = part.source->sound(part.rows[row])) return sound;
  }
  return std::nullopt;
}

}  // namespace detente::data
