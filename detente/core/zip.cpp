// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/zip.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>
#include <optional>
#include <unordered_set>

namespace detente {
namespace {

constexpr std::string_view kEnd = "PK\x05\x06";
constexpr std::string_view kEnd64 = "PK\x06\x06";
constexpr std::string_view kLocator64 = "PK\x06\x07";
constexpr std::string_view kEntry = "PK\x01\x02";
constexpr std::string_view kLocal = "PK\x03\x04";
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kLocatorSize = 20;
constexpr std::size_t kEnd64Size = 56;
constexpr std::size_t kEntrySize = 46;
constexpr std::size_t kLocalSize = 30;
constexpr std::size_t kLongestComment = 65535;
constexpr std::uint64_t kIn64 = 0xffffffff;
constexpr std::uint64_t kCountIn64 = 0xffff;
constexpr std::uint64_t kZip64 = 1;
constexpr std::uint64_t kEncrypted = 1;
constexpr std::uint64_t kStored = 0;
constexpr std::uint64_t kDeflated = 8;
constexpr std::size_t kMostInflation = 1032;  // deflate packs no better

[[noreturn]] void damaged(const std::string& source, const std::string& what) {
  fail(ErrorCode::kData,
       "[core::read_zip] '{}': {}. The archive is damaged or was cut short; write it again "
       "(numpy.savez).",
       source,
       what);
}

class Archive {
 public:
  Archive(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  std::string_view slice(std::uint64_t at, std::uint64_t size, const char* what) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      damaged(source_,
              fmt::format("{} would be {} bytes from {} on, and the file has {}",
                          what,
                          size,
                          at,
                          bytes_.size()));
    }
    return bytes_.substr(at, size);
  }

 private:
  std::string_view bytes_;
  const std::string& source_;
};

std::uint64_t little(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;) {
    value = value << 8U | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

struct Directory {
  std::uint64_t count = 0;
  std::uint64_t size = 0;
  std::uint64_t begin = 0;
};

// The record at the very end, behind which there may be a comment.
std::optional<std::size_t> find_end(std::string_view bytes) {
  if (bytes.size() < kEndSize) return std::nullopt;
  const std::size_t last = bytes.size() - kEndSize;
  const std::size_t first = last > kLongestComment ? last - kLongestComment : 0;
  for (std::size_t at = last + 1; at-- > first;) {
    if (bytes.substr(at, 4) == kEnd && at + kEndSize + little(bytes, at + 20, 2) == bytes.size()) {
      return at;
    }
  }
  return std::nullopt;
}

Directory find_directory(std::string_view bytes,
                         const Archive& archive,
                         const std::string& source) {
  const std::optional<std::size_t> end = find_end(bytes);
  DETENTE_CHECK(end.has_value(),
                ErrorCode::kData,
                "[core::read_zip] '{}' ({} bytes) has no end of a ZIP archive; it is no .npz file, "
                "or was cut short. Write it with numpy.savez.",
                source,
                bytes.size());
  Directory directory{
      little(bytes, *end + 10, 2), little(bytes, *end + 12, 4), little(bytes, *end + 16, 4)};
  const bool in_64 =
      directory.count == kCountIn64 || directory.size == kIn64 || directory.begin == kIn64;
  if (!in_64 || *end < kLocatorSize || bytes.substr(*end - kLocatorSize, 4) != kLocator64) {
    return directory;
  }
  const std::uint64_t at = little(bytes, *end - kLocatorSize + 8, 8);
  const std::string_view record = archive.slice(at, kEnd64Size, "the zip64 record");
  if (!record.starts_with(kEnd64)) damaged(source, "there is no zip64 record where it should be");
  return {little(record, 32, 8), little(record, 40, 8), little(record, 48, 8)};
}

// Sizes and place, which stand in the extra field where they do not fit.
struct Places {
  std::uint64_t size = 0;
  std::uint64_t packed = 0;
  std::uint64_t local = 0;
};

void read_zip64(std::string_view extra, Places& places, const std::string& source) {
  while (extra.size() >= 4) {
    const std::uint64_t id = little(extra, 0, 2);
    const std::uint64_t size = little(extra, 2, 2);
    if (size > extra.size() - 4) break;
    std::string_view field = extra.substr(4, size);
    extra.remove_prefix(4 + size);
    if (id != kZip64) continue;
    for (std::uint64_t* value : {&places.size, &places.packed, &places.local}) {
      if (*value != kIn64) continue;
      if (field.size() < 8) damaged(source, "a zip64 field is too short");
      *value = little(field, 0, 8);
      field.remove_prefix(8);
    }
    return;
  }
}

class RawInflater {
 public:
  RawInflater() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~RawInflater() { inflateEnd(&stream_); }
  RawInflater(const RawInflater&) = delete;
  RawInflater& operator=(const RawInflater&) = delete;

  // Whether `packed` is one stream that fills `out` exactly.
  bool fills(std::string_view packed, std::string& out) {
    std::size_t taken = 0;
    std::size_t made = 0;
    for (;;) {
      constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
      const std::size_t in = std::min(packed.size() - taken, kMost);
      const std::size_t room = std::min(out.size() - made, kMost);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + taken));
      stream_.avail_in = static_cast<uInt>(in);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + made);
      stream_.avail_out = static_cast<uInt>(room);
      const int code = inflate(&stream_, Z_NO_FLUSH);
      if (code == Z_MEM_ERROR) throw std::bad_alloc();
      const std::size_t more_in = in - stream_.avail_in;
      const std::size_t more_out = room - stream_.avail_out;
      taken += more_in;
      made += more_out;
      if (code == Z_STREAM_END) return taken == packed.size() && made == out.size();
      if (code != Z_OK || (more_in == 0 && more_out == 0)) return false;
    }
  }

 private:
  z_stream stream_{};
};

std::uint32_t crc_of(std::string_view bytes) {
  constexpr std::size_t kMost = std::size_t{1} << 30U;
  uLong crc = 0;
  while (!bytes.empty()) {
    const std::size_t n = std::min(bytes.size(), kMost);
    crc = crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(n));
    bytes.remove_prefix(n);
  }
  return static_cast<std::uint32_t>(crc);
}

}  // namespace

std::vector<ZipMember> list_zip(std::string_view bytes, const std::string& source) {
  const Archive archive(bytes, source);
  const Directory directory = find_directory(bytes, archive, source);
  std::string_view rest = archive.slice(directory.begin, directory.size, "its directory");
  std::vector<ZipMember> members;
  std::unordered_set<std::string> names;
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    if (rest.size() < kEntrySize || !rest.starts_with(kEntry)) {
      damaged(source, fmt::format("its directory has {} of {} entries", i, directory.count));
    }
    const std::uint64_t name_size = little(rest, 28, 2);
    const std::uint64_t extra_size = little(rest, 30, 2);
    const std::uint64_t whole = kEntrySize + name_size + extra_size + little(rest, 32, 2);
    if (whole > rest.size()) damaged(source, fmt::format("entry {} of its directory is cut", i));
    ZipMember member;
    member.name = rest.substr(kEntrySize, name_size);
    Places places{little(rest, 24, 4), little(rest, 20, 4), little(rest, 42, 4)};
    read_zip64(rest.substr(kEntrySize + name_size, extra_size), places, source);
    const std::uint64_t flags = little(rest, 8, 2);
    const std::uint64_t method = little(rest, 10, 2);
    member.crc = static_cast<std::uint32_t>(little(rest, 16, 4));
    rest.remove_prefix(whole);
    if (member.name.ends_with('/')) continue;
    DETENTE_CHECK(
        (flags & kEncrypted) == 0 && (method == kStored || method == kDeflated),
        ErrorCode::kData,
        "[core::read_zip] '{}' of '{}' {}; expected stored or deflated, as "
        "numpy.savez and savez_compressed write.",
        member.name,
        source,
        (flags & kEncrypted) != 0 ? "is encrypted" : fmt::format("is packed in way {}", method));
    member.deflated = method == kDeflated;
    const std::string_view local = archive.slice(places.local, kLocalSize, "the head of a member");
    if (!local.starts_with(kLocal)) {
      damaged(source, fmt::format("'{}' does not begin where its entry says", member.name));
    }
    member.packed =
        archive.slice(places.local + kLocalSize + little(local, 26, 2) + little(local, 28, 2),
                      places.packed,
                      "a member");
    const std::size_t most =
        member.deflated ? kMostInflation * (member.packed.size() + 1) : member.packed.size();
    if (places.size > most || (!member.deflated && places.size != most)) {
      damaged(
          source,
          fmt::format(
              "'{}' cannot hold {} bytes in {}", member.name, places.size, member.packed.size()));
    }
    member.size = places.size;
    DETENTE_CHECK(names.insert(member.name).second,
                  ErrorCode::kData,
                  "[core::read_zip] '{}' holds '{}' twice; expected each once.",
                  source,
                  member.name);
    members.push_back(std::move(member));
  }
  return members;
}

std::string unpack(const ZipMember& member, const std::string& source) {
  std::string content;
  try {
    if (member.deflated) {
      content.resize(member.size);
      if (!RawInflater().fills(member.packed, content)) {
        damaged(source, fmt::format("'{}' does not unpack to {} bytes", member.name, member.size));
      }
    } else {
      content = member.packed;
    }
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kUnsupported,
         "[core::read_zip] '{}' of '{}' ({} bytes) does not fit into the memory. Give the process "
         "more.",
         member.name,
         source,
         member.size);
  }
  if (crc_of(content) != member.crc) {
    damaged(source, fmt::format("'{}' has another checksum than its entry says", member.name));
  }
  return content;
}

}  // namespace detente
