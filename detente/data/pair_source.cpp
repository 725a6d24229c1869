// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/pair_source.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace detente::data {
namespace {

std::filesystem::path tokenizer_folder(const std::filesystem::path& run) {
  return run / "tokenizer";
}
std::filesystem::path idf_file(const std::filesystem::path& run) {
  return tokenizer_folder(run) / "idf.json";
}

void add_side(Batch& batch,
              const std::string& name,
              const std::vector<std::vector<std::int32_t>>& ids,
              std::span<const std::size_t> rows,
              std::int32_t pad) {
  std::size_t width = 0;
  for (const std::size_t row : rows) width = std::max(width, ids[row].size());
  std::vector<std::int32_t> padded;
  std::vector<std::int32_t> lengths;
  padded.reserve(rows.size() * width);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& sentence = ids[rows[i]];
    padded.insert(padded.end(), sentence.begin(), sentence.end());
    padded.resize((i + 1) * width, pad);
    lengths.push_back(static_cast<std::int32_t>(sentence.size()));
  }
  batch.push_back({name, {rows.size(), width}, std::move(padded)});
  batch.push_back({name + "_length", {rows.size()}, std::move(lengths)});
}

}  // namespace

void PairSource::describe(FieldVisitor& data) { describe_columns(data, true); }

void PairSource::describe_columns(FieldVisitor& data, bool pairs) {
  if (pairs) {
    data.text("text_a", text_a_, "Column of the first sentence.");
    data.text("text_b", text_b_, "Column of the second sentence.");
  } else {
    data.text("text", text_a_, "Column of the text.");
  }
  data.flag("cache", cache_, "Keep the encoded sentences in the run's folder.");
}

void PairSource::describe_sections(FieldVisitor& recipe) {
  recipe.section("tokenizer", "", [this](FieldVisitor& s) { tokenizer_options_.describe(s); });
}

void PairSource::resolve_paths(const std::filesystem::path& folder) {
  std::string& vocab = tokenizer_options_.vocab;
  if (!vocab.empty()) vocab = absolute_path(vocab, folder);
}

std::vector<std::string> PairSource::named_inputs() const {
  std::vector<std::string> names = {text_a_};
  if (!text_b_.empty()) names.push_back(text_b_);
  return names;
}

std::unique_ptr<Source> PairSource::fresh() const {
  auto source = std::make_unique<PairSource>();
  source->take_options(*this);
  return source;
}

void PairSource::take_options(const PairSource& other) {
  text_a_ = other.text_a_;
  text_b_ = other.text_b_;
  cache_ = other.cache_;
  tokenizer_options_ = other.tokenizer_options_;
  max_length_ = other.max_length_;
  lexical_ = other.lexical_;
}

void PairSource::set_columns(std::string first, std::string second) {
  text_a_ = std::move(first);
  text_b_ = std::move(second);
}

void PairSource::check_two_texts() const {
  DETENTE_CHECK(
      !text_a_.empty(),
      ErrorCode::kInvalidArgument,
      "[data::PairSource] 'data.text_a' is empty; name the column of the first sentence.");
  DETENTE_CHECK(
      !text_b_.empty(),
      ErrorCode::kInvalidArgument,
      "[data::PairSource] 'data.text_b' is empty; name the column of the second sentence.");
}

void PairSource::read_rows(const SourceInput& input, const Source* fitted) {
  const Table table = input.files.read_table(input.part);
  take_places(table);
  PairOptions options;
  options.text_a = text_a_;
  options.text_b = text_b_;
  options.targets = input.targets;
  options.max_length = max_length_;
  options.lexical = lexical_;
  if (cache_) options.cache = input.cache;
  if (fitted == nullptr) {
    tokenizer_ = text::make_tokenizer(tokenizer_options_, training_texts(table, options));
    options.fit_idf = &idf_;
  } else {
    const auto& teacher = dynamic_cast<const PairSource&>(*fitted);
    tokenizer_ = teacher.tokenizer_;
    idf_ = teacher.idf_;
    options.idf = &idf_;
  }
  data_ = load_pairs(table, options, tokenizer());
  lengths_ = row_lengths(data_);
  targets_ = std::move(data_.targets);
  data_.targets.clear();
  warnings_ = data_.warnings;
}

Batch PairSource::batch(std::span<const std::size_t> rows, const Rng* /*augment*/) const {
  Batch batch;
  add_side(batch, "first", data_.ids_a, rows, tokenizer().special().pad);
  if (data_.has_pairs()) add_side(batch, "second", data_.ids_b, rows, tokenizer().special().pad);
  if (const std::size_t count = data_.features.cols(); count > 0) {
    std::vector<float> numbers;
    numbers.reserve(rows.size() * count);
    for (const std::size_t row : rows) {
      for (std::size_t j = 0; j < count; ++j) {
        numbers.push_back(static_cast<float>(data_.features(row, j)));
      }
    }
    batch.push_back({"numbers", {rows.size(), count}, std::move(numbers)});
  }
  return batch;
}

Batch PairSource::batch_of(const std::vector<std::vector<std::int32_t>>& texts) const {
  Batch batch;
  std::vector<std::size_t> rows(texts.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  add_side(batch, "first", texts, rows, tokenizer().special().pad);
  return batch;
}

void PairSource::save(const std::filesystem::path& run) const {
  make_directories(tokenizer_folder(run));
  tokenizer().save(tokenizer_folder(run));
  write_own_file(idf_file(run), idf_.to_json().dump());
}

void PairSource::load(const std::filesystem::path& run) {
  tokenizer_ = text::load_tokenizer(tokenizer_folder(run));
  const Json idf = Json::parse(read_file(idf_file(run)), nullptr, false);
  DETENTE_CHECK(!idf.is_discarded(),
                ErrorCode::kData,
                "[data::PairSource] '{}' is damaged (not JSON).",
                idf_file(run).string());
  idf_ = text::IdfTable::from_json(idf);
}

std::vector<ShownColumn> PairSource::shown() const {
  std::vector<ShownColumn> columns = {{text_a_, data_.text_a}};
  if (data_.has_pairs()) columns.push_back({text_b_, data_.text_b});
  return columns;
}

std::vector<std::string> PairSource::notes() const {
  const std::size_t sentences = data_.ids_a.size() + data_.ids_b.size();
  const auto tokens = static_cast<double>(data_.tokens);
  if (sentences == 0) return {};
  return {fmt::format(
      "{} of the {} sentences were cut to {} tokens; {:.1f} tokens a sentence, {:.2f} % "
      "of them unknown.",
      data_.truncated,
      sentences,
      max_length_,
      tokens / static_cast<double>(sentences),
      100.0 * static_cast<double>(data_.unknown) / std::max(tokens, 1.0))};
}

std::vector<InputColumn> PairSource::input_columns() const {
  std::vector<InputColumn> columns;
  for (const std::string& name : named_inputs()) columns.push_back({name, "text"});
  return columns;
}

std::vector<UntrainedScore> PairSource::untrained_scores() const {
  if (!data_.has_pairs()) return {};
  UntrainedScore overlap{"overlap", {}};
  UntrainedScore tfidf{"tf-idf", {}};
  for (std::size_t i = 0; i < size(); ++i) {
    overlap.values.push_back(text::bigram_jaccard(data_.text_a[i], data_.text_b[i]));
    tfidf.values.push_back(
        idf_.cosine(tokenizer().encode(data_.text_a[i]), tokenizer().encode(data_.text_b[i])));
  }
  return {std::move(overlap), std::move(tfidf)};
}

const text::Tokenizer& PairSource::tokenizer() const {
  DETENTE_DCHECK(tokenizer_ != nullptr);
  return *tokenizer_;
}

std::size_t PairSource::numbers() const {
  // idf_overlap and tfidf_cosine come with the document frequencies.
  return lexical_ ? text::lexical_feature_names().size() + 2 : 0;
}

}  // namespace detente::data
