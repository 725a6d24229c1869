// SPDX-License-Identifier: Apache-2.0
// What a reply that is no answer means: the kind of failure, and words for it.
#pragma once

#include <detente/annotate/chat.h>

namespace detente::annotate {

// By the caller, as with Ctrl-C.
Failure interruption();

// Of a reply with a fault, with another status than 200, or whose body is no JSON.
Failure failure_of(const HttpReply& reply);

// Of {"error": {"message", "type", "code"}} or {"error": "text"}, by status (200: in the body alone).
Failure failure_of_error(const Json& json, int status);

}  // namespace detente::annotate
