// SPDX-License-Identifier: Apache-2.0
// What is answered to a request; knows no sockets.
//
//   /                 the list of runs
//   /run/PATH         a run's page, made from its files as they are now (PATH empty: the folder itself)
//   /study/PATH       a study's page, made from the runs that have ended so far
//   /files/PATH       a file of the folder, if it is of a kind that is served (folder.h)
//   /api/runs         the list as JSON
//   /api/run/PATH     one run's state, the version of its page and when to ask again, as JSON
//   /api/study/PATH   the same of a study
#pragma once

#include <detente/serve/folder.h>
#include <detente/serve/run_list.h>

#include <string>
#include <utility>
#include <vector>

namespace detente::serve {

struct Request {
  std::string method;
  std::string target;              // as it was sent
  std::vector<std::string> hosts;  // every Host header
};

struct Answer {
  int status = 200;
  std::string type = "text/html; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

class Site {
 public:
  // `port` is the one that a Host header has to name.
  Site(const std::filesystem::path& path, int port) : folder_(path), port_(port) {}

  // From any thread. Refused: other methods than GET and HEAD (405), another host (403), paths that lead
  // elsewhere (400), what is not there or not served (404), files above 64 MiB (413). Every answer says
  // that it is not to be stored, sniffed, framed or sent elsewhere.
  Answer answer(const Request& request);

  const Folder& folder() const { return folder_; }

 private:
  Answer routed(const Request& request);
  Answer run_page(const Segments& segments);
  Answer run_state(const Segments& segments);
  Answer study_page(const Segments& segments);
  Answer study_state(const Segments& segments);
  Answer run_states();
  Answer file(const Segments& segments);

  Folder folder_;
  int port_;
  RunList list_{folder_};
};

}  // namespace detente::serve
