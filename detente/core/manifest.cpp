// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/manifest.h>

#include <algorithm>
#include <set>

namespace detente {
namespace {

constexpr const char* kManifestFormat = "detente-manifest-1";

[[noreturn]] void bad_manifest(const std::filesystem::path& path, const std::string& what) {
  fail(ErrorCode::kData,
       "[core::read_manifest] '{}' {}; it is damaged or no list of Detente's.",
       path.string(),
       what);
}

// Not absolute, and no way up.
bool stays_below(const std::string& name) {
  const std::filesystem::path path(name);
  return !name.empty() && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const auto& part) { return part == ".."; });
}

}  // namespace

std::string crc32c_text(std::uint32_t crc) { return fmt::format("{:08x}", crc); }

FileSum sum_of(std::string_view content) { return {content.size(), crc32c_text(crc32c(content))}; }

void Manifest::add_existing(const std::filesystem::path& folder, const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path path = folder / name;
  if (fs::is_regular_file(path)) {
    add(name, sum_of(read_file(path)));
    return;
  }
  if (!fs::is_directory(path)) return;
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    names.push_back(fs::relative(entry.path(), folder).generic_string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& one : names) add(one, sum_of(read_file(folder / one)));
}

void Manifest::write(const std::filesystem::path& path) const {
  Json files = Json::object();
  for (const auto& [name, sum] : files_) {
    files[name] = {{"bytes", sum.bytes}, {"crc32c", sum.crc32c}};
  }
  const Json json{{"format", kManifestFormat}, {"files", std::move(files)}};
  write_own_file(path, json.dump(1) + "\n");
}

Manifest Manifest::read(const std::filesystem::path& path) {
  const Json json = Json::parse(read_file(path), nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != kManifestFormat ||
      !json.contains("files") || !json["files"].is_object()) {
    bad_manifest(path, fmt::format("is not of the format '{}'", kManifestFormat));
  }
  Manifest manifest;
  std::set<std::string> known;
  for (const auto& [name, value] : json["files"].items()) {
    if (!stays_below(name)) bad_manifest(path, "names a file outside its folder");
    if (!known.insert(name).second) bad_manifest(path, "names a file twice");
    if (!value.is_object() || !value.contains("bytes") || !value["bytes"].is_number_unsigned() ||
        !value.contains("crc32c") || !value["crc32c"].is_string()) {
      bad_manifest(path, fmt::format("has no size and checksum for '{}'", name));
    }
    manifest.add(name, {value["bytes"].get<std::uint64_t>(), value["crc32c"].get<std::string>()});
  }
  return manifest;
}

std::vector<std::string> Manifest::differences(const std::filesystem::path& folder) const {
  std::vector<std::string> found;
  for (const auto& [name, expected] : files_) {
    const std::filesystem::path path = folder / name;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      found.push_back(fmt::format("'{}' is missing.", name));
      continue;
    }
    FileSum sum;
    try {
      sum = sum_of(read_file(path));
    } catch (const Error& error) {
      found.emplace_back(error.what());
      continue;
    }
    if (sum.bytes != expected.bytes) {
      found.push_back(
          fmt::format("'{}' has {} bytes where {} were written.", name, sum.bytes, expected.bytes));
    } else if (sum != expected) {
      found.push_back(fmt::format("'{}' has changed since it was written (checksum {}, now {}).",
                                  name,
                                  expected.crc32c,
                                  sum.crc32c));
    }
  }
  return found;
}

}  // namespace detente
