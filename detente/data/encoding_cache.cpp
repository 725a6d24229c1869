// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/fnv.h>
#include <detente/data/encoding_cache.h>

#include <cstring>
#include <string>

namespace detente::data {
namespace {

constexpr std::string_view kCacheMagic = "DTNTIDS1";

void put_u64(std::string& out, std::uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

std::string u64_bytes(std::uint64_t value) {
  std::string bytes;
  put_u64(bytes, value);
  return bytes;
}

// Takes numbers from the front; `ok` turns false at the end of the bytes and stays so.
struct CacheReader {
  std::string_view bytes;
  bool ok = true;

  std::uint64_t number(std::size_t size) {
    if (bytes.size() < size) ok = false;
    if (!ok) return 0;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    bytes.remove_prefix(size);
    return value;
  }
};

}  // namespace

std::uint64_t hash_texts(std::span<const std::string_view> texts, std::uint64_t seed) {
  std::uint64_t hash = fnv1a(u64_bytes(seed));
  for (const std::string_view text : texts) {
    hash = fnv1a(text, fnv1a(u64_bytes(text.size()), hash));
  }
  return hash;
}

EncodedTexts encode_texts(std::span<const std::string_view> texts,
                          const text::Tokenizer& tokenizer,
                          std::size_t max_length) {
  DETENTE_CHECK(max_length >= 1,
                ErrorCode::kInvalidArgument,
                "[data::encode_texts] max_length must be >= 1, got {}.",
                max_length);
  EncodedTexts encoded;
  encoded.ids.reserve(texts.size());
  const std::size_t unit = tokenizer.ids_per_token();
  for (const std::string_view text : texts) {
    auto ids = tokenizer.encode(text);
    if (ids.empty()) ids.assign(unit, tokenizer.special().unk);
    if (ids.size() > max_length * unit) {
      ids.resize(max_length * unit);
      ++encoded.truncated;
    }
    encoded.ids.push_back(std::move(ids));
  }
  return encoded;
}

std::uint64_t encoding_key(std::span<const std::string_view> texts,
                           const text::Tokenizer& tokenizer,
                           std::size_t max_length) {
  const std::uint64_t hash = fnv1a(u64_bytes(tokenizer.fingerprint()), hash_texts(texts));
  return fnv1a(u64_bytes(max_length), hash);
}

std::filesystem::path encoding_path(const std::filesystem::path& folder, std::uint64_t key) {
  return folder / fmt::format("{:016x}.ids", key);
}

// Layout, little-endian: magic, key, rows, truncated (u64 each); per row its length (u32) and ids
// (u32 each); CRC-32C of everything before it (u32).
std::optional<EncodedTexts> read_encoding(const std::filesystem::path& path, std::uint64_t key) {
  std::string content;
  try {
    content = read_file(path);
  } catch (const Error&) {
    return std::nullopt;
  }
  if (content.size() < kCacheMagic.size() + 4 || !content.starts_with(kCacheMagic))
    return std::nullopt;
  const std::string_view body = std::string_view(content).substr(0, content.size() - 4);
  CacheReader checksum{std::string_view(content).substr(body.size())};
  if (checksum.number(4) != crc32c(body)) return std::nullopt;
  CacheReader reader{body.substr(kCacheMagic.size())};
  if (reader.number(8) != key) return std::nullopt;
  const std::uint64_t rows = reader.number(8);
  EncodedTexts encoded;
  encoded.truncated = reader.number(8);
  for (std::uint64_t i = 0; i < rows && reader.ok; ++i) {
    std::vector<std::int32_t> ids;
    const std::uint64_t length = reader.number(4);
    for (std::uint64_t k = 0; k < length && reader.ok; ++k) {
      ids.push_back(static_cast<std::int32_t>(reader.number(4)));
    }
    encoded.ids.push_back(std::move(ids));
  }
  if (!reader.ok || !reader.bytes.empty()) return std::nullopt;
  return encoded;
}

void write_encoding(const std::filesystem::path& path,
                    std::uint64_t key,
                    const EncodedTexts& encoded) {
  std::string content(kCacheMagic);
  const auto put_u32 = [&content](std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8)
      content.push_back(static_cast<char>(value >> shift));
  };
  put_u64(content, key);
  put_u64(content, encoded.ids.size());
  put_u64(content, encoded.truncated);
  for (const auto& ids : encoded.ids) {
    put_u32(static_cast<std::uint32_t>(ids.size()));
    for (const std::int32_t id : ids) put_u32(static_cast<std::uint32_t>(id));
  }
  put_u32(crc32c(content));
  if (path.has_parent_path()) make_directories(path.parent_path());
  write_own_file(path, content);
}

}  // namespace detente::data
