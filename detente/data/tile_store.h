// SPDX-License-Identifier: Apache-2.0
// Tiles on their way from slides to batches: those asked for ahead of time, those kept because they may be
// wanted again, and the slides that cannot be read. From several threads at once.
#pragma once

#include <detente/slides/slide_reader.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace detente::data {

struct PlacedTile {
  std::uint32_t slide = 0;
  slides::Region region;
};

class TileStore {
 public:
  // `bytes`: for what is kept and what is on its way, each at most half of them.
  TileStore(std::shared_ptr<slides::SlideReader> reader,
            const std::vector<std::string>& files,
            const std::vector<PlacedTile>& tiles,
            std::size_t bytes);
  ~TileStore();
  TileStore(const TileStore&) = delete;
  TileStore& operator=(const TileStore&) = delete;

  // Has these tiles read, in this order, as far as there is room for them.
  void expect(std::span<const std::size_t> rows);
  // The tile's bytes; false, with nothing written, where its slide cannot be read.
  bool read(std::size_t row, std::uint8_t* out);
  bool is_bad(std::size_t slide) const;
  // Slides found bad since the last call, a sentence each.
  std::vector<std::string> news();

 private:
  using Kept = std::list<std::pair<std::size_t, std::vector<std::uint8_t>>>;

  std::size_t bytes_of(std::size_t row) const;
  void keep(std::size_t row, std::vector<std::uint8_t> values);
  slides::SlideReader::Ticket ask(std::size_t row);

  std::shared_ptr<slides::SlideReader> reader_;
  const std::vector<std::string>& files_;
  const std::vector<PlacedTile>& tiles_;
  std::size_t most_;

  mutable std::mutex mutex_;
  std::unordered_map<std::size_t, slides::SlideReader::Ticket> pending_;
  std::list<std::size_t> order_;  // of what is pending, the oldest first
  std::size_t pending_bytes_ = 0;
  Kept kept_;  // used last first
  std::unordered_map<std::size_t, Kept::iterator> place_;
  std::size_t kept_bytes_ = 0;
  std::vector<bool> bad_;
  std::vector<std::string> news_;
};

}  // namespace detente::data
