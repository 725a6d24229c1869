// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/data/array_file.h>
#include <detente/data/image_file.h>
#include <detente/data/propose_arrays.h>
#include <detente/data/propose_steps.h>
#include <detente/data/sound.h>
#include <detente/data/survey.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

namespace detente::data {
namespace {

constexpr std::size_t kMostTargetColumns = 20;  // of one array; more are no targets but inputs
constexpr std::size_t kSmallestPicture = 8;     // sides below are rather channels than pixels

bool is_array_folder(const std::filesystem::path& path) {
  std::error_code error;
  bool found = false;
  for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
       at.increment(error)) {
    if (has_image_name(at->path()) || has_sound_name(at->path())) return false;
    found |= lower_ascii(at->path().extension().string()) == ".npy";
  }
  return found;
}

// An array of training examples.
struct FoundArray {
  std::string name;
  std::vector<std::size_t> shape;
  bool text = false;

  std::size_t per_example() const {
    std::size_t product = 1;
    for (std::size_t d = 1; d < shape.size(); ++d) product *= shape[d];
    return product;
  }
};

// How the name of a .npy file says what it holds: "X" where an X stands in it, else all of it but the
// part's word.
std::string inputs_of_file(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  return stem.find('X') != std::string::npos ? "X" : array_name(stem).base;
}

class ArrayProposer {
 public:
  // `inputs`: of a .npy file, what it holds; else empty.
  ArrayProposer(const std::string& path, const std::string& inputs)
      : path_(path), inputs_(inputs), file_(path, inputs) {
    read_arrays();
  }

  FileProposal propose(const std::vector<std::string>& targets) {
    proposal_.kind = "arrays";
    const FoundArray& inputs = choose_inputs();
    proposal_.inputs = inputs.name;
    proposal_.rows = inputs.shape[0];
    DETENTE_CHECK(proposal_.rows >= 2,
                  ErrorCode::kData,
                  "[data::propose_arrays] '{}' of '{}' has {} example; expected at least 2, one to "
                  "train on and one to choose the epoch by.",
                  inputs.name,
                  path_,
                  proposal_.rows);
    choose_form(inputs);
    const Table table = columns_beside(inputs);
    choose_targets(table, targets);
    choose_parts(inputs.name, table);
    return std::move(proposal_);
  }

 private:
  void read_arrays() {
    std::set<std::string> known;
    std::vector<std::string> names = file_.names();
    if (!inputs_.empty()) names.insert(names.begin(), inputs_);
    for (const std::string& name : names) {
      const ArrayName of = array_name(file_.asked_by(name));
      if (of.part) parts_[of.base].insert(*of.part);
      if ((of.part && *of.part != Part::kTrain) || !known.insert(of.base).second) continue;
      const std::string found = file_.find(of.base, {Part::kTrain});
      if (found.empty()) continue;  // beside a .npy file, but not of its examples
      const ArrayFile::Loaded loaded = file_.load(found);
      const NpyContent content = loaded.content();
      if (content.shape.empty() || content.count() == 0) continue;
      arrays_.push_back({of.base, content.shape, ArrayEntries(content).is_text()});
    }
  }

  const FoundArray& choose_inputs() const {
    const auto fits = [](const FoundArray& array) {
      return !array.text && array.shape.size() <= 5;
    };
    const auto called = [&](const std::string& name) {
      return std::find_if(arrays_.begin(), arrays_.end(), [&](const FoundArray& array) {
        return array.name == name && fits(array);
      });
    };
    if (!inputs_.empty()) {
      const auto found = called(inputs_);
      DETENTE_CHECK(found != arrays_.end(),
                    ErrorCode::kData,
                    "[data::propose_arrays] '{}' cannot be inputs; expected numbers in 1 to 5 "
                    "dimensions, the first over the examples.",
                    path_);
      return *found;
    }
    for (const char* name : {"X", "x", "inputs", "images", "features", "data"}) {
      const auto found = called(name);
      if (found != arrays_.end()) return *found;
    }
    const FoundArray* best = nullptr;
    for (const FoundArray& array : arrays_) {
      if (fits(array) && (best == nullptr || array.per_example() > best->per_example())) {
        best = &array;
      }
    }
    DETENTE_CHECK(best != nullptr,
                  ErrorCode::kData,
                  "[data::propose_arrays] '{}' has no array that can be inputs; expected numbers "
                  "in 1 to 5 dimensions, the first over the examples.",
                  path_);
    return *best;
  }

  void choose_form(const FoundArray& inputs) {
    std::vector<std::size_t> sides(inputs.shape.begin() + 1, inputs.shape.end());
    internal::propose_training(proposal_);
    if (sides.size() <= 1) {
      RecipeProposal sized;
      sized.rows = proposal_.rows;
      internal::choose_sizes(sized);
      proposal_.model = "mlp";
      proposal_.widths = sized.widths;
      proposal_.dropout = sized.dropout;
      proposal_.lr = sized.lr;
      proposal_.epochs = sized.epochs;
      proposal_.batch_size = sized.batch_size;
      return;
    }
    const auto [low, high] = std::minmax_element(sides.begin(), sides.end());
    if (sides.size() == 2 && *low >= kSmallestPicture && *high < 4 * *low) {
      proposal_.layout = "no_channels";
      proposal_.why_layout = fmt::format(
          "{} x {} numbers an example: taken for pixels of one channel. If one of the two is a "
          "time, it is a series: layout: channels_first ([n, c, t]) or channels_last, with model "
          "kind convnet1d",
          sides[0],
          sides[1]);
    } else {
      const bool last = sides.back() < sides.front();
      proposal_.layout = last ? "channels_last" : "channels_first";
      const std::size_t channels = last ? sides.back() : sides.front();
      sides.erase(last ? sides.end() - 1 : sides.begin());
      proposal_.why_layout =
          fmt::format("{} channels, the smaller of the two ends, and {} {} an example",
                      channels,
                      fmt::format("{}", fmt::join(sides, " x ")),
                      sides.size() == 1   ? "steps of a series"
                      : sides.size() == 2 ? "pixels"
                                          : "pixels of a clip (its time first)");
    }
    const std::size_t shortest = *std::min_element(sides.begin(), sides.end());
    proposal_.model = sides.size() == 1 ? "convnet1d" : sides.size() == 2 ? "convnet" : "convnet3d";
    proposal_.channels = internal::propose_channels(shortest, sides.size() == 1 ? 32 : 16);
  }

  // All that could be targets, one number or word for each example.
  Table columns_beside(const FoundArray& inputs) const {
    std::vector<std::string> names;
    std::vector<std::vector<std::string>> cells;
    for (const FoundArray& array : arrays_) {
      const std::size_t width = array.per_example();
      if (array.name == inputs.name || array.shape[0] != inputs.shape[0] ||
          array.shape.size() > 2 || width > kMostTargetColumns) {
        continue;
      }
      const ArrayFile::Loaded loaded = file_.load(file_.find(array.name, {Part::kTrain}));
      const NpyContent content = loaded.content();
      const ArrayEntries entries(content);
      for (std::size_t j = 0; j < width; ++j) {
        names.push_back(width == 1 ? array.name : fmt::format("{}.{}", array.name, j));
        std::vector<std::string>& column = cells.emplace_back();
        for (std::size_t i = 0; i < array.shape[0]; ++i) {
          column.push_back(entries.cell(i * width + j));
        }
      }
    }
    DETENTE_CHECK(!names.empty(),
                  ErrorCode::kData,
                  "[data::propose_arrays] '{}' has no array beside the inputs '{}' with one to {} "
                  "numbers or words for each of the {} examples; expected one at least, to "
                  "predict it.",
                  path_,
                  inputs.name,
                  kMostTargetColumns,
                  inputs.shape[0]);
    return Table::made(std::move(names), cells, path_);
  }

  void choose_targets(const Table& table, const std::vector<std::string>& asked) {
    const std::vector<ColumnSurvey> columns = survey_columns(table);
    std::vector<std::string> wanted = asked;
    for (const std::string& name : asked) {
      DETENTE_CHECK(table.has_column(name),
                    ErrorCode::kData,
                    "[data::propose_arrays] '{}' is no array of '{}' that can be a target; {}",
                    name,
                    path_,
                    expected_one_of(name, table.column_names()));
    }
    if (asked.empty()) {
      for (const ColumnSurvey& column : columns) {
        const std::string against = why_left_out(table, column);
        if (against.empty()) {
          wanted.push_back(column.name);
        } else {
          proposal_.notes.push_back(fmt::format("'{}' is no target: {}.", column.name, against));
        }
      }
    }
    if (wanted.empty()) {
      fail(ErrorCode::kData,
           "[data::propose_arrays] no array of '{}' beside the inputs can be a target; name one "
           "with "
           "--targets that can.\n  {}",
           path_,
           fmt::join(proposal_.notes, "\n  "));
    }
    proposal_.tasks = internal::propose_targets(table, columns, wanted, proposal_.why_targets);
    if (asked.empty()) {
      proposal_.why_targets =
          "every array beside the inputs that can be one; take out what is none";
    }
  }

  static std::string why_left_out(const Table& table, const ColumnSurvey& column) {
    std::string against = internal::why_no_task(table, column);
    if (against.empty()) against = internal::why_name_of_rows(column);
    if (against.empty() && internal::is_called_group(column.name)) {
      against = "it says which examples belong together; split.group keeps them in one part";
    }
    return against;
  }

  void choose_parts(const std::string& inputs, const Table& table) {
    const auto has = [&](Part part) {
      const auto found = parts_.find(inputs);
      return found != parts_.end() && found->second.contains(part);
    };
    if (has(Part::kTrain) && has(Part::kDev)) {
      proposal_.why_parts =
          has(Part::kTest)
              ? "The arrays say themselves what is for validation and for the test"
              : "The arrays say themselves what is for validation; there is no test part";
      return;
    }
    internal::propose_split(table, proposal_);
    if (has(Part::kTest)) {
      // Shares are of the training examples; the file's own test part is asked for by --data.
      proposal_.test = 0;
      proposal_.own_test = true;
    }
  }

  std::string path_;
  std::string inputs_;  // of a .npy file; else empty
  ArrayFile file_;
  std::vector<FoundArray> arrays_;
  std::map<std::string, std::set<Part>> parts_;
  FileProposal proposal_;
};

}  // namespace

std::optional<FileProposal> propose_arrays(const std::string& path,
                                           const std::vector<std::string>& targets) {
  const std::string ending = lower_ascii(std::filesystem::path(path).extension().string());
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  if (folder ? !is_array_folder(path) : ending != ".npz" && ending != ".npy") return std::nullopt;
  return ArrayProposer(path, ending == ".npy" && !folder ? inputs_of_file(path) : "")
      .propose(targets);
}

}  // namespace detente::data
