// SPDX-License-Identifier: Apache-2.0
// hello.cc - the key-value store from C++.
//
//     c++ -o hello hello.cc $(pkg-config --cflags --libs vrclient)
//     ./hello [CLUSTER]
#include <iostream>
#include <memory>
#include <string>
#include <vr/client.h>

namespace
{
struct Close {
    void operator()(vr_client *client) const
    {
        vr_client_close(client);
    }
};

struct Result : vr_result {
    Result() : vr_result{}
    {
    }
    Result(const Result &) = delete;
    Result &operator=(const Result &) = delete;
    ~Result()
    {
        vr_result_free(this);
    }
};
} // namespace

int main(int argc, char **argv)
{
    char message[VR_MESSAGE_MAX];
    vr_client *opened = nullptr;
    if (vr_client_open(argc > 1 ? argv[1] : "127.0.0.1:8000-8004", nullptr, &opened, message)) {
        std::cerr << "hello: " << message << "\n";
        return 2;
    }
    const std::unique_ptr<vr_client, Close> client(opened);
    vr_session *session = vr_session_open(client.get());
    const std::string key = "greeting";
    const std::string value = "hello from C++";
    Result set;
    Result get;
    if (vr_kv_set(session, key.data(), key.size(), value.data(), value.size(), VR_TIMEOUT_DEFAULT,
                  &set) != VR_OK) {
        std::cerr << "hello: " << set.message << "\n";
        return 1;
    }
    if (vr_kv_get(session, key.data(), key.size(), VR_TIMEOUT_DEFAULT, &get) != VR_OK) {
        std::cerr << "hello: " << get.message << "\n";
        return 1;
    }
    std::cout.write(reinterpret_cast<const char *>(get.data), std::streamsize(get.size)) << "\n";
    return 0;
}
