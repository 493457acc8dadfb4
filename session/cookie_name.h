// The client of a connection, as text for people: read from the cookie that its edge keeps. Any
// thread.
#pragma once

#include <string>
#include <string_view>

namespace berth::session {

// Of a cookie's identity slot: "tenant=acme device=cam client_id=cam", "user=evil client_id=x",
// "client_id=x". Not escaped. Empty: it can't be read.
std::string name_in_cookie(std::string_view identity);

}  // namespace berth::session
