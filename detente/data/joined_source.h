// SPDX-License-Identifier: Apache-2.0
// Several sources of one example: an image and a recording, a text and columns of numbers. Each named
// part is a source of its own kind with its own options; row i of the list (data.train, data.dev, a file
// to predict) is one example, with its targets. Where a part's rows come from: data/joined_rows.h.
//
// Arrays of a batch of B examples: "present" [B, parts] uint8, in the order of the parts; and of each
// part P that some of them have, the arrays of its own source for those examples alone, in their order,
// their names begun with "P/". An example has one part at least.
//
// Fitted: what each part's source was, and which parts some training example lacks.
#pragma once

#include <detente/data/joined_rows.h>
#include <detente/data/source.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

inline constexpr const char* kPresent = "present";

class JoinedSource final : public Source {
 public:
  JoinedSource() = default;

  // What a part may be: kinds with one example a row, and one answer for each.
  static const std::vector<std::string>& part_kinds();

  const char* kind() const override { return "joined"; }
  void describe(FieldVisitor& data) override;
  void resolve_paths(const std::filesystem::path& folder) override;
  void leave_out(const std::vector<std::string>& columns) override;
  // Of the list; of two parts with one column it is there once.
  std::vector<std::string> named_inputs() const override;
  std::vector<std::string> named_files() const override;
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return costs_.size(); }
  // Those of its parts together.
  std::span<const std::size_t> costs() const override { return costs_; }
  // Random changes of the parts one after the other, from the same numbers.
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  void save(const std::filesystem::path& run) const override;  // joined.json
  void load(const std::filesystem::path& run) override;
  // The list's columns.
  std::vector<ShownColumn> shown() const override { return shown_columns(table_); }
  std::vector<std::string> notes() const override;
  // Of the list: what its parts say, and "file" where a cell names one or a row of one. None where
  // a part goes by the number of the row, for then equal cells are not equal examples.
  std::vector<InputColumn> input_columns() const override;

  Image picture(std::size_t row) const override;
  std::optional<Sound> sound(std::size_t row) const override;

  // The parts, whole.
  std::vector<std::string> exchangeable() const override { return part_names(); }
  // An example takes the other's part, or its lack of one.
  void exchange(std::size_t input, const Batch& others, Batch& batch) const override;
  // As if no example of the batch had the part.
  void switch_off(std::size_t part, Batch& batch) const;

  // One more part, with the options of `source`; as data.parts does.
  void add_part(std::string name, std::unique_ptr<Source> source, PartPlace place = {});

  // Rules between options; throws kInvalidArgument naming the part.
  void check_options() const;
  std::size_t parts() const { return parts_.size(); }
  std::vector<std::string> part_names() const;
  // The options of a part, or after reading and loading what it holds. `Source::size` of it is the
  // number of examples that have it.
  const Source& part(std::size_t index) const { return *parts_.at(index).source; }
  Source& part(std::size_t index) { return *parts_.at(index).source; }
  bool has(std::size_t part, std::size_t row) const;
  // Whether some training example lacks the part.
  bool may_lack(std::size_t part) const { return parts_.at(part).may_lack; }

  // The arrays of a part, under the names that its own source gives them; none where nobody has it.
  static Batch part_batch(const std::string& part, const Batch& batch);

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  struct Part {
    std::string name;
    std::string kind;  // empty: not said
    PartPlace place;
    std::unique_ptr<Source> source;

    bool may_lack = false;
    std::vector<std::size_t> rows;  // of each example, the source's, or kNone
  };

  void read_part(std::size_t index,
                 const SourceInput& input,
                 const JoinedList& list,
                 const JoinedSource* fitted);
  // What a table must not take as its input.
  std::vector<std::string> no_inputs(std::size_t index,
                                     const std::vector<TargetColumn>& targets) const;
  void check_targets(const std::vector<TargetColumn>& targets) const;
  void check_no_example_is_empty() const;

  std::vector<Part> parts_;
  std::vector<std::string> left_out_;
  std::vector<std::size_t> costs_;
  std::optional<Table> table_;
};

}  // namespace detente::data
