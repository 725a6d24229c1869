// SPDX-License-Identifier: Apache-2.0
// Examples of one kind, read and encoded once, and their batches as plain arrays. What the training
// examples teach about encoding (a tokenizer, scales, categories) is fitted on them, saved with the
// run and applied to all others.
//
//   const auto train = make_source("table");            // or a recipe's, with its options
//   train->read({files, Part::kTrain, targets}, nullptr);
//   const auto dev = train->fresh();
//   dev->read({files, Part::kDev, targets}, train.get());
//   const Batch batch = dev->batch(rows, nullptr);
//
// Neither LibTorch nor a network is known here: what a network wants of its data it asks for
// (nn/trunk.h), and a kind of data names its arrays in its own header.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/rng.h>
#include <detente/data/batches.h>
#include <detente/data/image.h>
#include <detente/data/sound.h>
#include <detente/data/source_files.h>
#include <detente/data/table.h>
#include <detente/data/targets.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace detente::data {

struct Array {
  std::string name;
  // Row-major. shape[0]: examples of the batch, unless the kind's header says otherwise.
  std::vector<std::size_t> shape;
  std::variant<std::vector<std::int32_t>,
               std::vector<float>,
               std::vector<double>,
               std::vector<std::uint8_t>>
      values;
};
using Batch = std::vector<Array>;

// Null when there is none of this name.
const Array* find_array(const Batch& batch, std::string_view name);
// kInternal when there is none of this name.
const Array& array_of(const Batch& batch, std::string_view name);

struct SourceInput {
  SourceFiles files;
  Part part = Part::kTrain;
  std::vector<TargetColumn> targets;  // empty: for prediction, none is read
  std::filesystem::path cache;        // folder for what encoding costs; empty: none
  int threads = 0;                    // for reading; 0: as many as there are cores
};

// A column as predictions show it beside themselves.
struct ShownColumn {
  std::string name;
  std::vector<std::string> cells;
};

// A column of the files that the training rows made an input, or nothing of: "number", "date",
// "category", "text" (sentences), "file" (the name of one, or what stands for it), or "left out"
// where it says nothing about a row.
struct InputColumn {
  std::string name;
  std::string kind;
};

// All columns of a table, in its order; none without one.
std::vector<ShownColumn> shown_columns(const std::optional<Table>& table);

// Where an example comes from.
struct RowPlace {
  std::string file;
  std::size_t row = 0;  // of the file, from 0, before anything was split off: what data.drop counts
  std::size_t line = 0;  // of the file, from 1; 0: it has no lines
};

// A number per example that predicts something without training.
struct UntrainedScore {
  std::string name;
  std::vector<double> values;
};

// Examples that are cheaper to read near each other.
struct Locality {
  std::span<const std::uint32_t> groups;  // of each example; empty: it makes no difference
  std::size_t window = 1;                 // so many groups are mixed with each other
};

class Source {
 public:
  virtual ~Source() = default;

  virtual const char* kind() const = 0;  // "pairs", "table", "images", "graph", "dense", "audio",
                                         // "arrays", "video", "slides", "joined"
  // Options in the recipe's `data` section (beside kind and files), and in sections of their own.
  virtual void describe(FieldVisitor& data) = 0;
  virtual void describe_sections(FieldVisitor& /*recipe*/) {}
  // Whether regression heads start as `output: standard`: targets in any unit.
  virtual bool standard_targets() const { return true; }
  // Whether a training file may say itself which of its examples are for training, validation and
  // test.
  virtual bool own_parts() const { return false; }
  // Whether the examples may come from several sources (SourceFiles::sources).
  virtual bool takes_sources() const { return false; }
  // Whether each example is one record of one text table and nothing else, so that a part of the table
  // (SourceFiles::given) is a part of the examples.
  virtual bool reads_records() const { return false; }
  // Makes paths in the options absolute.
  virtual void resolve_paths(const std::filesystem::path& /*folder*/) {}
  // Columns that are targets of tasks left out of this run: never inputs.
  virtual void leave_out(const std::vector<std::string>& /*columns*/) {}
  // The input columns that the options name; two are never alike.
  virtual std::vector<std::string> named_inputs() const { return {}; }
  // Files beside the data that the options name.
  virtual std::vector<std::string> named_files() const { return {}; }
  // The same options, nothing read.
  virtual std::unique_ptr<Source> fresh() const = 0;

  // Reads and encodes. `fitted`: a source of the same kind that has read training examples or
  // loaded what they taught; none: these are the training examples. Throws kIo, kData (naming file
  // and line), kInvalidArgument.
  void read(const SourceInput& input, const Source* fitted);

  virtual std::size_t size() const = 0;
  // What each example costs; epoch_batches sorts by it.
  virtual std::span<const std::size_t> costs() const = 0;
  // `augment`: the stream of this step. Random changes of a training example come from
  // augment->fork(row) alone, so they depend neither on what else the batch holds nor on its order;
  // row: the index in the source whose example it is. None: the examples as they are.
  virtual Batch batch(std::span<const std::size_t> rows, const Rng* augment) const = 0;
  // These rows are asked for next, in this order: the moment for what reads its examples when they are asked
  // for to begin with them. Changes nothing but the time.
  virtual void expect(std::span<const std::size_t> /*rows*/) const {}
  // Sentences for the user about what was found while examples were read, since the last call.
  virtual std::vector<std::string> news() const { return {}; }
  // What was found while examples were read becomes what targets() and target() say: after a pass over the
  // rows, before what was predicted in it is compared with them.
  virtual void settle() {}
  virtual Locality locality() const { return {}; }

  // Of the examples as they reach a network, and their targets, in their order: two sources with one
  // digest train alike. Costs a pass over the examples.
  virtual std::string digest() const;

  // Of the examples of several sources (SourceFiles::sources): the names of those that have any, and
  // which one each example is from. Else empty.
  const std::vector<std::string>& origin_names() const { return origin_names_; }
  std::span<const std::uint32_t> origins() const { return origins_; }

  // Of each example the place in its file: of one that is laid together from several rows the first
  // one's (the upper left image, the row of the list), of a clip made from an image that image's.
  RowPlace place(std::size_t row) const;
  // Whether all examples are records of text files (data/table.h) that hold all there is to them.
  bool is_text() const;

  const std::vector<Target>& targets() const { return targets_; }
  const Target& target(std::string_view task) const { return find_target(targets_, task); }
  // One array per task, NaN where missing: doubles [rows], of several numbers [rows, columns]; of maps
  // (is_map) floats [rows, height, width] or, with several channels, [rows, channels, height, width].
  // `augment`: the one that batch() got, for maps change with the examples they belong to.
  virtual Batch target_batch(std::span<const std::size_t> rows, const Rng* augment = nullptr) const;
  // Height and width of targets that are maps; 0 where none are.
  virtual std::pair<std::size_t, std::size_t> map_size() const { return {0, 0}; }
  // One sentence each, for the user.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // The same of what encoding did that is no cause for worry.
  virtual std::vector<std::string> notes() const { return {}; }
  // After reading training rows: the columns of the files that examples come from. Empty for kinds
  // whose examples are no cells of a table.
  virtual std::vector<InputColumn> input_columns() const { return {}; }

  // The classes of a column by id, where the training examples named them themselves (folders, a
  // class file); else none.
  virtual std::vector<std::string> class_names(std::string_view /*column*/) const { return {}; }

  // An example as a person would look at it, unchanged and unscaled: of a clip its middle frame, of
  // joined examples the first part that has one. Empty (no pixels) for kinds that are not shown as
  // pictures.
  virtual Image picture(std::size_t /*row*/) const { return {}; }
  // The same to be listened to, read from its file again: throws as that does. Nothing for other
  // kinds.
  virtual std::optional<Sound> sound(std::size_t /*row*/) const { return std::nullopt; }

  // The inputs by themselves: names of what `exchange` can take from other rows. Empty for kinds whose
  // examples are whole.
  virtual std::vector<std::string> exchangeable() const { return {}; }
  // Gives `batch` that input of `others`, a batch of as many rows.
  virtual void exchange(std::size_t input, const Batch& others, Batch& batch) const;

  // What was fitted, in a run's folder, with the source's own names; exact on reload.
  virtual void save(const std::filesystem::path& run) const = 0;
  virtual void load(const std::filesystem::path& run) = 0;

  // For prediction files: the rows as they were read.
  virtual std::vector<ShownColumn> shown() const = 0;
  // The same scores in the same order for every source fitted alike.
  virtual std::vector<UntrainedScore> untrained_scores() const { return {}; }

 protected:
  // Fills the source; targets are read from the same table. Warnings go to warnings_.
  virtual void read_rows(const SourceInput& input, const Source* fitted) = 0;

  // Where rows come from: of a joined table also which of its tables.
  void take_places(const Table& table);
  // The same of examples without a table.
  void take_places(const std::string& file, std::vector<std::size_t> rows);

  std::vector<Target> targets_;
  std::vector<std::string> warnings_;
  std::vector<std::string> origin_names_;
  std::vector<std::uint32_t> origins_;  // per example

 private:
  std::vector<std::string> place_files_;  // one, or one per origin
  std::vector<std::size_t> place_rows_;   // per example
  std::vector<std::size_t> place_lines_;  // the same; empty: no lines
  bool records_ = false;
};

// The files that Source::save writes, by their paths from the run's folder on, and what reads them
// back. Through a temporary folder; throws kIo where there can be none.
std::map<std::string, std::string> saved_files(const Source& fitted);
void load_files(Source& source, const std::map<std::string, std::string>& files);

// The kinds, in the order of the documentation.
std::vector<std::string> source_kinds();
// Throws kInvalidArgument with the nearest name and the list.
std::unique_ptr<Source> make_source(std::string_view kind);

}  // namespace detente::data
