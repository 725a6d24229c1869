// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/retriever.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/fnv.h>
#include <detente/core/json_text.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::annotate {
namespace {

constexpr const char* kIndexFormat = "detente-index-1";

class WordRetriever final : public Retriever {
 public:
  explicit WordRetriever(const Documents& documents) : index_(documents.texts()) {}
  std::vector<Hit> search(const std::string& query, std::size_t count, CallKey&) const override {
    return best_hits(index_.scores(query), count);
  }

 private:
  Bm25 index_;
};

class VectorRetriever final : public Retriever {
 public:
  VectorRetriever(Vectors vectors, Encoder& encoder)
      : vectors_(std::move(vectors)), encoder_(encoder) {}
  std::vector<Hit> search(const std::string& query,
                          std::size_t count,
                          CallKey& key) const override {
    const std::vector<std::string> one = {query};
    const Vectors vector = encoder_.encode(one, key);
    std::vector<double> scores;
    for (const auto& passage : vectors_) scores.push_back(cosine(passage, vector.at(0)));
    return best_hits(scores, count);
  }

 private:
  Vectors vectors_;
  Encoder& encoder_;
};

std::string digest_of(const Documents& documents) {
  std::uint64_t hash = 0;
  for (const Passage& passage : documents.passages) {
    hash = fnv1a(passage.file + '\0' + passage.text + '\0', kFnvStart ^ hash);
  }
  return hash_text(hash);
}

// Nothing where the passages are others.
std::optional<Vectors> read_index(const std::filesystem::path& file,
                                  const std::string& encoder,
                                  const std::string& digest,
                                  std::size_t passages) {
  const Json json = Json::parse(read_file(file), nullptr, false);
  const auto wrong = [&](const char* what) {
    fail(ErrorCode::kData,
         "[annotate::vector_retriever] '{}' {}; expected an index that --index wrote. Remove it, "
         "and it "
         "is made anew.",
         file.string(),
         what);
  };
  if (json.is_discarded() || !json.is_object() || json.value("format", Json()) != kIndexFormat) {
    wrong("is no index");
  }
  try {
    const auto made_by = json.at("encoder").get<std::string>();
    DETENTE_CHECK(
        made_by == encoder,
        ErrorCode::kData,
        "[annotate::vector_retriever] the index '{}' was made by '{}', the queries would be "
        "encoded by '{}': their vectors cannot be compared. Name what made it "
        "with --encoder or --embedding-model, or another file with --index.",
        file.string(),
        made_by,
        encoder);
    if (json.at("passages").get<std::string>() != digest) return std::nullopt;
    auto vectors = json.at("vectors").get<Vectors>();
    if (vectors.size() != passages) wrong("has another number of vectors than it says");
    for (const auto& vector : vectors) {
      if (vector.size() != vectors[0].size()) wrong("has vectors of several lengths");
    }
    return vectors;
  } catch (const Json::exception&) {
    wrong("is damaged");
  }
  return std::nullopt;
}

}  // namespace

std::vector<Hit> best_hits(const std::vector<double>& scores, std::size_t count) {
  std::vector<Hit> hits;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > 0) hits.push_back({i, scores[i]});
  }
  const auto better = [](const Hit& a, const Hit& b) {
    return a.score != b.score ? a.score > b.score : a.passage < b.passage;
  };
  const std::size_t kept = std::min(count, hits.size());
  std::partial_sort(
      hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(kept), hits.end(), better);
  hits.resize(kept);
  return hits;
}

std::unique_ptr<Retriever> word_retriever(const Documents& documents) {
  return std::make_unique<WordRetriever>(documents);
}

std::unique_ptr<Retriever> vector_retriever(const Documents& documents,
                                            Encoder& encoder,
                                            const std::filesystem::path& file,
                                            const Progress& progress) {
  const std::string digest = digest_of(documents);
  std::error_code ignored;
  if (!file.empty() && std::filesystem::exists(file, ignored)) {
    if (auto vectors = read_index(file, encoder.name(), digest, documents.passages.size())) {
      return std::make_unique<VectorRetriever>(std::move(*vectors), encoder);
    }
  }
  CallKey key{-1, "@passages", 0};
  Vectors vectors = encode_all(encoder, documents.texts(), key, progress);
  if (!file.empty()) {
    const Json json{{"format", kIndexFormat},
                    {"encoder", encoder.name()},
                    {"passages", digest},
                    {"vectors", vectors}};
    write_file_atomic(file, json_text(json, -1) + "\n");
  }
  return std::make_unique<VectorRetriever>(std::move(vectors), encoder);
}

}  // namespace detente::annotate
