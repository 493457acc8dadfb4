// The floor that connect rates are read beside.
#pragma once

namespace berth::load {

int floor_server();  // until SIGTERM

}  // namespace berth::load
