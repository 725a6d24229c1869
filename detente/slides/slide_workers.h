// SPDX-License-Identifier: Apache-2.0
// Slides read by worker processes (slide_worker.h), which go on reading while this one computes. What a slide
// does to its worker costs that slide and nothing else:
//
//   a crash      the worker is started anew and what else it had to do is done; the slide that was being read
//                is tried again in a fresh one, since it may have been another's fault, and is bad when that
//                crashes, too
//   a hang       the same, without a second try
//   an error     OpenSlide's words; the slide is bad
//
// What is read does not depend on the number of workers, nor on the order of answers. The regions of a slide go
// to one worker, whose handle stays open; a worker without work of its own takes another's slide.
// Functions may be called from several threads. A thread of its own starts the workers and listens to them.
#pragma once

#include <detente/slides/slide_reader.h>

#include <memory>
#include <string>

namespace detente::slides {

struct SlideWorkersOptions {
  int workers = 1;   // 1 to 64
  int handles = 32;  // slides open at a time, of all workers together; at least one each
  int cache_mib =
      1024;  // decoded tiles that are kept, of all together; 3.4: 32 per open slide, so fewer
  int memory_mib = 4096;  // that one worker may take, its share of the cache included; at least 256
  double seconds = 60;    // for one request, then its worker is killed
  double start_seconds = 30;  // for the start of a worker
  std::string program;        // of the workers; empty: find_slide_worker()
};

// What reads the slides.
struct OpenSlideFacts {
  std::string version;
  std::string library;  // the file
  bool shared_cache = false;
  // Whether the workers have given up what decoding does not need (docs/slides.md); a kernel without seccomp
  // filters has it not.
  bool confined = false;
};

class SlideWorkers final : public SlideReader {
 public:
  // Starts a worker and waits for it. Throws kInvalidArgument for options out of range, kIo where there is no
  // worker program, kUnsupported where it finds no OpenSlide (message: causes and cure), kPeerLost where it
  // does not come up.
  explicit SlideWorkers(const SlideWorkersOptions& options = {});
  // Ends them; tickets that nobody took are dropped.
  ~SlideWorkers() override;

  SlideInfo info(const std::string& file) override;
  Ticket ask(const std::string& file, const Region& region) override;
  Picture take(Ticket ticket) override;
  void drop(Ticket ticket) override;
  std::map<std::string, std::string> bad() const override;
  ReaderStatistics statistics() const override;

  // A picture beside the slide, in its own size. Throws as info() and take(); kInvalidArgument where the
  // slide has none of that name, or one of more than 64 Mpixel.
  Picture associated(const std::string& file, const std::string& name);

  OpenSlideFacts facts() const;
  // Those that run, for tests and for those who count memory.
  std::vector<int> processes() const;

 private:
  class Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace detente::slides
