// switchmaster for C++17: the types of switchmaster.h as classes that end what they own.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
//     switchmaster::Factory factory("redis+sentinel://10.0.0.1,10.0.0.2/mymaster");
//     switchmaster::Handle redis = factory.get(500ms);
//     redis.command({"SET", "greeting", "hello"});
//     std::cout << redis.command({"GET", "greeting"}).str() << "\n";
//
// Nothing is decided here: each member is the function of the same name in switchmaster.h, whose
// comment says what it does, how long it blocks, and which threads may call it. What differs is how
// things end. A class owns what it was made from, can be moved and not copied, and ends it when it is
// destroyed. A call that fails throws an Error, which says whether the command may have run. One that
// waits for something that may not come gives an empty std::optional when it does not.
//
// An object that was moved from, and one that was ended early, own nothing: using them is an Error
// again, never a crash. An error reply of the server is a reply, and no exception: see
// ReplyView::is_error.

#ifndef SWITCHMASTER_HPP
#define SWITCHMASTER_HPP

#if !(__cplusplus >= 201703L || (defined(_MSVC_LANG) && _MSVC_LANG >= 201703L))
#error "switchmaster.hpp needs C++17; switchmaster.h is enough for C++11"
#endif

#include <switchmaster.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace switchmaster {

/// Why a call failed.
class Error : public std::runtime_error {
public:
    explicit Error(const swm_error &error) : std::runtime_error(error.message), error_(error) {}

    /// Why, as a number of swm_status.
    swm_status status() const noexcept { return error_.status; }

    /// Whether the command may have run: SWM_NOT_SENT, SWM_UNKNOWN or SWM_REPLIED.
    swm_outcome outcome() const noexcept { return error_.outcome; }

    /// Why, as a word for logs and metrics, such as `command-timeout`. It lives as long as the error.
    std::string_view kind() const noexcept { return error_.kind; }

private:
    swm_error error_;
};

namespace detail {

/// Runs a call, and throws what it reports.
template <typename Call>
void run(Call &&call) {
    swm_error error;
    if (call(&error) != SWM_OK)
        throw Error(error);
}

/// Runs a call that may find nothing: whether it found something.
template <typename Call>
bool found(Call &&call) {
    swm_error error;
    const swm_status status = call(&error);
    if (status != SWM_OK && status != SWM_E_NOTHING)
        throw Error(error);
    return status == SWM_OK;
}

/// Whole milliseconds, as many as the C interface can be told.
inline std::uint32_t millis(std::chrono::milliseconds time) noexcept {
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    if (time.count() <= 0)
        return 0;
    return time.count() < most ? static_cast<std::uint32_t>(time.count()) : most;
}

/// Text that may not be there.
inline std::string_view text(const char *text) noexcept {
    return text == nullptr ? std::string_view() : std::string_view(text);
}

/// Ends what a pointer owns.
template <auto End>
struct Ender {
    template <typename T>
    void operator()(T *owned) const noexcept {
        End(owned);
    }
};

template <typename T, auto End>
using Owned = std::unique_ptr<T, Ender<End>>;

/// A string that the library gave out, as one of C++.
template <typename Call>
std::string string(Call &&call) {
    char *given = nullptr;
    run([&](swm_error *error) { return call(&given, error); });
    const Owned<char, swm_string_free> owned(given);
    return std::string(given);
}

/// The words of a command, or names, as C takes them. A command of a few words allocates nothing.
class Words {
public:
    template <typename Range>
    explicit Words(const Range &range) {
        for (auto &&word : range) {
            static_assert(std::is_reference_v<decltype(*std::begin(range))> ||
                              std::is_trivially_copyable_v<std::decay_t<decltype(word)>>,
                          "the words have to live until the call returns");
            add(word);
        }
    }

    std::size_t size() const noexcept { return size_; }
    const char *const *data() const noexcept { return all_.empty() ? few_.data() : all_.data(); }
    const std::size_t *lens() const noexcept {
        return all_.empty() ? few_lens_.data() : all_lens_.data();
    }

private:
    void add(std::string_view word) {
        if (size_ < few_.size()) {
            few_[size_] = word.data();
            few_lens_[size_] = word.size();
        } else {
            if (all_.empty()) {
                all_.assign(few_.begin(), few_.end());
                all_lens_.assign(few_lens_.begin(), few_lens_.end());
            }
            all_.push_back(word.data());
            all_lens_.push_back(word.size());
        }
        ++size_;
    }

    std::array<const char *, 16> few_;
    std::array<std::size_t, 16> few_lens_;
    std::vector<const char *> all_;
    std::vector<std::size_t> all_lens_;
    std::size_t size_ = 0;
};

} // namespace detail

/// The version of the library, such as `0.1.0`.
inline std::string_view version() noexcept { return swm_version(); }

/// A look at a reply or at an element of one. It is a pointer, to be passed by value, and valid as long
/// as the Reply that it belongs to.
class ReplyView {
public:
    class Iterator;

    /// A look at nothing, of kind SWM_REPLY_NONE.
    ReplyView() noexcept = default;
    explicit ReplyView(const swm_reply *reply) noexcept : reply_(reply) {}

    /// What it is, as a number of swm_reply_kind.
    int kind() const noexcept { return swm_reply_type(reply_); }
    bool is_nil() const noexcept { return kind() == SWM_REPLY_NIL; }
    /// Whether the server refused the command; str() says why.
    bool is_error() const noexcept { return kind() == SWM_REPLY_ERROR; }

    /// The bytes of a string, status, error, double, big number or verbatim text; none of any other.
    std::string_view str() const noexcept {
        std::size_t len = 0;
        const char *bytes = swm_reply_str(reply_, &len);
        return bytes == nullptr ? std::string_view() : std::string_view(bytes, len);
    }
    /// A whole number, or a boolean as 0 or 1; 0 of any other reply.
    std::int64_t integer() const noexcept { return swm_reply_integer(reply_); }
    /// A number with a fraction, or a whole number as one; 0 of any other reply.
    double real() const noexcept { return swm_reply_double(reply_); }
    /// A boolean; false of any other reply.
    bool boolean() const noexcept { return swm_reply_boolean(reply_); }
    /// The format of a verbatim text, such as `txt`; empty of any other reply.
    std::string_view format() const noexcept { return detail::text(swm_reply_format(reply_)); }

    /// How many elements it has; of a map twice as many as pairs.
    std::size_t size() const noexcept { return swm_reply_elements(reply_); }
    bool empty() const noexcept { return size() == 0; }
    /// An element; a look at nothing where there is none of this index.
    ReplyView operator[](std::size_t index) const noexcept {
        return ReplyView(swm_reply_element(reply_, index));
    }
    Iterator begin() const noexcept;
    Iterator end() const noexcept;

    /// What the server says about it, keys and values in turn; a look at nothing where it says nothing.
    ReplyView attributes() const noexcept { return ReplyView(swm_reply_attributes(reply_)); }

    /// Whether it is a look at something.
    explicit operator bool() const noexcept { return reply_ != nullptr; }
    /// The same for a function of switchmaster.h.
    const swm_reply *raw() const noexcept { return reply_; }

private:
    friend class Reply;
    const swm_reply *reply_ = nullptr;
};

/// Goes through the elements of a reply.
class ReplyView::Iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = ReplyView;
    using difference_type = std::ptrdiff_t;
    using pointer = const ReplyView *;
    using reference = ReplyView;

    Iterator() noexcept = default;
    Iterator(ReplyView of, std::size_t index) noexcept : of_(of), index_(index) {}

    ReplyView operator*() const noexcept { return of_[index_]; }
    Iterator &operator++() noexcept {
        ++index_;
        return *this;
    }
    Iterator operator++(int) noexcept { return Iterator(of_, index_++); }
    friend bool operator==(const Iterator &a, const Iterator &b) noexcept {
        return a.index_ == b.index_;
    }
    friend bool operator!=(const Iterator &a, const Iterator &b) noexcept { return !(a == b); }

private:
    ReplyView of_;
    std::size_t index_ = 0;
};

inline ReplyView::Iterator ReplyView::begin() const noexcept { return Iterator(*this, 0); }
inline ReplyView::Iterator ReplyView::end() const noexcept { return Iterator(*this, size()); }

/// A reply. It may outlive its handle and its factory.
class Reply : public ReplyView {
public:
    Reply() noexcept = default;
    /// Takes over a reply that a function of switchmaster.h gave out.
    explicit Reply(swm_reply *reply) noexcept : ReplyView(reply), owned_(reply) {}

    Reply(Reply &&other) noexcept
        : ReplyView(std::exchange(other.reply_, nullptr)), owned_(std::move(other.owned_)) {}
    Reply &operator=(Reply &&other) noexcept {
        owned_ = std::move(other.owned_);
        other.reply_ = other.owned_.get();
        reply_ = owned_.get();
        return *this;
    }

    /// See ReplyView::str.
    std::string_view str() const & noexcept { return ReplyView::str(); }
    /// The same of a reply that ends with the expression, `redis.command({"GET", key}).str()`: a copy.
    std::string str() && { return std::string(ReplyView::str()); }

private:
    detail::Owned<swm_reply, swm_reply_free> owned_;
};

/// One connection that was taken from a factory, and goes back when this is destroyed. One thread at a
/// time may use it.
class Handle {
public:
    Handle() noexcept = default;
    /// Takes over a handle that a function of switchmaster.h gave out.
    explicit Handle(swm_handle *handle) noexcept : handle_(handle) {}

    /// Sends one command and waits for its reply: `command({"GET", key})`.
    Reply command(std::initializer_list<std::string_view> words) {
        return run(detail::Words(words));
    }
    /// The same with a container of strings.
    template <typename Range>
    Reply command(const Range &words) {
        return run(detail::Words(words));
    }

    /// Adds a command to the pipeline. It is sent by get_reply.
    void append(std::initializer_list<std::string_view> words) { add(detail::Words(words)); }
    /// The same with a container of strings.
    template <typename Range>
    void append(const Range &words) {
        add(detail::Words(words));
    }
    /// Takes the next reply of the pipeline, which the first call sends.
    [[nodiscard]] Reply get_reply() {
        swm_reply *reply = nullptr;
        detail::run(
            [&](swm_error *error) { return swm_handle_get_reply(handle_.get(), &reply, error); });
        return Reply(reply);
    }

    /// Sends commands that are RESP already. What it gives is RESP, and valid until the next call.
    std::string_view exchange(std::string_view request) {
        const char *reply = nullptr;
        std::size_t len = 0;
        detail::run([&](swm_error *error) {
            return swm_handle_exchange(handle_.get(), request.data(), request.size(), &reply, &len,
                                       error);
        });
        return std::string_view(reply, len);
    }

    /// Sends a part of a stream of commands that are RESP already, in pieces of any size.
    void send(std::string_view data) {
        detail::run([&](swm_error *error) {
            return swm_handle_send(handle_.get(), data.data(), data.size(), error);
        });
    }
    /// Receives a part of the stream of replies: how many bytes, at least one.
    std::size_t receive(char *buffer, std::size_t capacity) {
        std::size_t received = 0;
        detail::run([&](swm_error *error) {
            return swm_handle_receive(handle_.get(), buffer, capacity, &received, error);
        });
        return received;
    }

    /// What a send of so many bytes would wait for; never SWM_WAITS_FOR_DESCRIPTOR.
    [[nodiscard]] swm_readiness send_readiness(std::size_t len) const {
        int readiness = SWM_READY;
        detail::run([&](swm_error *error) {
            return swm_handle_send_readiness(handle_.get(), len, &readiness, error);
        });
        return static_cast<swm_readiness>(readiness);
    }
    /// What a receive would wait for, and with SWM_WAITS_FOR_DESCRIPTOR how many milliseconds at most.
    [[nodiscard]] std::pair<swm_readiness, std::uint64_t> receive_readiness() const {
        int readiness = SWM_READY;
        std::uint64_t timeout_ms = 0;
        detail::run([&](swm_error *error) {
            return swm_handle_receive_readiness(handle_.get(), &readiness, &timeout_ms, error);
        });
        return {static_cast<swm_readiness>(readiness), timeout_ms};
    }
    /// Whether whoever uses it next finds nothing of what was done on it.
    [[nodiscard]] bool is_clean() const noexcept { return swm_handle_is_clean(handle_.get()) != 0; }

    /// The generation that its connection belongs to; 0 when it has none at the moment.
    std::uint64_t generation() const noexcept { return swm_handle_generation(handle_.get()); }

    /// The version of the protocol that its connection speaks, 2 or 3; 0 when it has none at the moment.
    int protocol() const noexcept { return swm_handle_protocol(handle_.get()); }
    /// The descriptor of its connection; -1 when it has none at the moment.
    int fd() const noexcept { return swm_handle_fd(handle_.get()); }

    /// Gives it back now. Again, it does nothing.
    void release() noexcept { handle_.reset(); }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /// The same for a function of switchmaster.h.
    swm_handle *raw() const noexcept { return handle_.get(); }

private:
    Reply run(const detail::Words &words) {
        swm_reply *reply = nullptr;
        detail::run([&](swm_error *error) {
            return swm_handle_command_argv(handle_.get(), words.size(), words.data(), words.lens(),
                                           &reply, error);
        });
        return Reply(reply);
    }
    void add(const detail::Words &words) {
        detail::run([&](swm_error *error) {
            return swm_handle_append_argv(handle_.get(), words.size(), words.data(), words.lens(),
                                          error);
        });
    }

    detail::Owned<swm_handle, swm_handle_release> handle_;
};

/// Something that happened to a service. What it gives lives as long as it does.
class Event {
public:
    Event() noexcept = default;
    /// Takes over an event that a function of switchmaster.h gave out.
    explicit Event(swm_event *event) noexcept : event_(event) {}

    /// What happened, as a number of swm_event_kind.
    int kind() const noexcept { return swm_event_type(event_.get()); }
    /// The same as a word, such as `switched`.
    std::string_view name() const noexcept { return detail::text(swm_event_name(event_.get())); }
    std::chrono::system_clock::time_point time() const noexcept {
        return std::chrono::system_clock::time_point(
            std::chrono::milliseconds(swm_event_time_ms(event_.get())));
    }
    /// The generation that it is about: of a switch the new one. 0 where it is about none.
    std::uint64_t generation() const noexcept { return swm_event_generation(event_.get()); }
    /// The node or sentinel that it is about: of a switch the new master. Empty where it is about none.
    std::string_view address() const noexcept {
        return detail::text(swm_event_address(event_.get()));
    }
    /// The master before a switch; empty where there was none.
    std::string_view previous() const noexcept {
        return detail::text(swm_event_previous(event_.get()));
    }
    /// A line for people.
    std::string_view text() const noexcept { return detail::text(swm_event_text(event_.get())); }
    /// Everything that is known of it, as one line of JSON.
    std::string_view json() const noexcept { return detail::text(swm_event_json(event_.get())); }

    explicit operator bool() const noexcept { return event_ != nullptr; }
    /// The same for a function of switchmaster.h.
    const swm_event *raw() const noexcept { return event_.get(); }

private:
    detail::Owned<swm_event, swm_event_free> event_;
};

/// A delivery of a subscription: a message, a gap, or a refusal. Its views are valid as long as it lives.
class Delivery {
public:
    Delivery() noexcept = default;
    /// Takes over a delivery that a function of switchmaster.h gave out.
    explicit Delivery(swm_delivery *delivery) noexcept : delivery_(delivery) {}

    /// What it is, as a number of swm_delivery_kind.
    int kind() const noexcept { return swm_delivery_type(delivery_.get()); }
    bool is_message() const noexcept { return kind() == SWM_DELIVERY_MESSAGE; }
    /// Whether messages may be missing before it.
    bool is_gap() const noexcept { return kind() == SWM_DELIVERY_GAP; }
    /// Returns true when the server refused a channel or pattern after the call that asked for it had returned.
    bool is_refusal() const noexcept { return kind() == SWM_DELIVERY_REFUSED; }

    /// The channel of a message, or the channel that was refused.
    std::string_view channel() const noexcept { return bytes(swm_delivery_channel); }
    /// The pattern that a message came by, or that was refused; empty when it was by its channel.
    std::string_view pattern() const noexcept { return bytes(swm_delivery_pattern); }
    std::string_view payload() const noexcept { return bytes(swm_delivery_payload); }
    /// The generation of the master that a message came from, that a gap leads to, or that refused a name.
    std::uint64_t generation() const noexcept { return swm_delivery_generation(delivery_.get()); }
    /// Returns a line for a log about a gap or a refusal; empty of a message.
    std::string_view text() const noexcept {
        return detail::text(swm_delivery_text(delivery_.get()));
    }

    explicit operator bool() const noexcept { return delivery_ != nullptr; }
    /// The same for a function of switchmaster.h.
    const swm_delivery *raw() const noexcept { return delivery_.get(); }

private:
    std::string_view bytes(const char *accessor(const swm_delivery *, std::size_t *)) const noexcept {
        std::size_t len = 0;
        const char *bytes = accessor(delivery_.get(), &len);
        return bytes == nullptr ? std::string_view() : std::string_view(bytes, len);
    }

    detail::Owned<swm_delivery, swm_delivery_free> delivery_;
};

/// A subscription to channels or patterns, which moves to the new master by itself. One thread at a time
/// may use it, and any may close it meanwhile.
class Subscription {
public:
    Subscription() noexcept = default;
    /// Takes over a subscription that a function of switchmaster.h gave out.
    explicit Subscription(swm_subscription *subscription) noexcept : subscription_(subscription) {}

    /// Subscribes to further channels.
    void subscribe(std::initializer_list<std::string_view> channels) {
        change(swm_subscription_subscribe, detail::Words(channels));
    }
    template <typename Range>
    void subscribe(const Range &channels) {
        change(swm_subscription_subscribe, detail::Words(channels));
    }
    /// Subscribes to further patterns.
    void psubscribe(std::initializer_list<std::string_view> patterns) {
        change(swm_subscription_psubscribe, detail::Words(patterns));
    }
    template <typename Range>
    void psubscribe(const Range &patterns) {
        change(swm_subscription_psubscribe, detail::Words(patterns));
    }
    /// Ends the subscription to channels.
    void unsubscribe(std::initializer_list<std::string_view> channels) {
        change(swm_subscription_unsubscribe, detail::Words(channels));
    }
    template <typename Range>
    void unsubscribe(const Range &channels) {
        change(swm_subscription_unsubscribe, detail::Words(channels));
    }
    /// Ends the subscription to patterns.
    void punsubscribe(std::initializer_list<std::string_view> patterns) {
        change(swm_subscription_punsubscribe, detail::Words(patterns));
    }
    template <typename Range>
    void punsubscribe(const Range &patterns) {
        change(swm_subscription_punsubscribe, detail::Words(patterns));
    }

    /// Takes the next delivery; none when none came in this time.
    [[nodiscard]] std::optional<Delivery> next(std::chrono::milliseconds timeout) {
        swm_delivery *delivery = nullptr;
        const bool found = detail::found([&](swm_error *error) {
            return swm_subscription_next(subscription_.get(), detail::millis(timeout), &delivery,
                                         error);
        });
        return found ? std::optional<Delivery>(delivery) : std::nullopt;
    }

    /// Closes it, and wakes who waits for its deliveries. Again, it does nothing.
    void close() const noexcept { swm_subscription_close(subscription_.get()); }
    explicit operator bool() const noexcept { return subscription_ != nullptr; }
    /// The same for a function of switchmaster.h.
    swm_subscription *raw() const noexcept { return subscription_.get(); }

private:
    template <typename Change>
    void change(Change change, const detail::Words &names) {
        detail::run([&](swm_error *error) {
            return change(subscription_.get(), names.size(), names.data(), names.lens(), error);
        });
    }

    detail::Owned<swm_subscription, swm_subscription_close> subscription_;
};

/// A user and a password.
struct Credentials {
    /// The ACL user; empty is the server's default user.
    std::string username;
    std::string password;
};

/// Supplies the credentials that are valid now, for a connection that is made. It is called on threads
/// of the library, one call at a time, may block and may throw: the connection fails then, with an error
/// that quotes what(). swm_credentials_callback documents its time limit.
using CredentialsProvider = std::function<Credentials()>;

namespace detail {

/// A provider as C takes it, with the strings of its last answer.
class Provider {
public:
    explicit Provider(CredentialsProvider provider) : provider_(std::move(provider)) {}

    static void supply(void *own, swm_credentials *out) noexcept {
        static_cast<Provider *>(own)->supply(*out);
    }
    static void end(void *own) noexcept { delete static_cast<Provider *>(own); }

private:
    void supply(swm_credentials &out) noexcept {
        try {
            last_ = provider_();
            out.username = last_.username.empty() ? nullptr : last_.username.c_str();
            out.password = last_.password.c_str();
        } catch (const std::exception &failure) {
            out.error = keep(failure.what());
        } catch (...) {
            out.error = "the credentials provider threw no std::exception";
        }
    }

    const char *keep(const char *text) noexcept {
        try {
            error_ = text;
            return error_.c_str();
        } catch (...) {
            return "the credentials provider failed";
        }
    }

    CredentialsProvider provider_;
    Credentials last_;
    std::string error_;
};

/// Sets a provider. The library owns it where that succeeds.
template <typename Set>
void provide(swm_options *options, Set set, CredentialsProvider provider) {
    if (!provider) {
        run([&](swm_error *error) { return set(options, nullptr, nullptr, nullptr, error); });
        return;
    }
    auto own = std::make_unique<Provider>(std::move(provider));
    run([&](swm_error *error) {
        return set(options, Provider::supply, own.get(), Provider::end, error);
    });
    own.release();
}

} // namespace detail

/// The settings of a factory that is to be opened: `Options(url).set("max_size", "16")`.
class Options {
public:
    /// The defaults.
    Options() : options_(made(nullptr)) {}
    /// The defaults, and on top of them what a URL says.
    explicit Options(const std::string &url) : options_(made(url.c_str())) {}

    /// Sets one option; swm_options_set lists them.
    Options &set(const std::string &name, const std::string &value) {
        detail::run([&](swm_error *error) {
            return swm_options_set(options_.get(), name.c_str(), value.c_str(), error);
        });
        return *this;
    }

    /// What an option is set to. One that is not set, or a secret, is an error: SWM_E_NOTHING.
    [[nodiscard]] std::string get(const std::string &name) const {
        return detail::string([&](char **out, swm_error *error) {
            return swm_options_get(options_.get(), name.c_str(), out, error);
        });
    }

    /// Sets a provider of user and password for each connection to a node, instead of the options
    /// `username` and `password`. An empty provider removes it.
    Options &credentials(CredentialsProvider provider) {
        detail::provide(options_.get(), swm_options_set_credentials, std::move(provider));
        return *this;
    }
    /// Sets a provider for the sentinels in the same way.
    Options &sentinel_credentials(CredentialsProvider provider) {
        detail::provide(options_.get(), swm_options_set_sentinel_credentials, std::move(provider));
        return *this;
    }

    explicit operator bool() const noexcept { return options_ != nullptr; }
    /// The same for a function of switchmaster.h.
    swm_options *raw() const noexcept { return options_.get(); }

private:
    static swm_options *made(const char *url) {
        swm_options *options = nullptr;
        detail::run([&](swm_error *error) { return swm_options_new(url, &options, error); });
        return options;
    }

    detail::Owned<swm_options, swm_options_free> options_;
};

/// Follows one service, and gives out handles to its master. Any number of threads may use it at once.
class Factory {
public:
    Factory() noexcept = default;
    /// Opens a factory for a service that is named by a URL.
    explicit Factory(const std::string &url) {
        swm_factory *factory = nullptr;
        detail::run(
            [&](swm_error *error) { return swm_factory_open(url.c_str(), &factory, error); });
        factory_.reset(factory);
    }
    explicit Factory(const Options &options) {
        swm_factory *factory = nullptr;
        detail::run([&](swm_error *error) {
            return swm_factory_open_options(options.raw(), &factory, error);
        });
        factory_.reset(factory);
    }
    /// Takes over a factory that a function of switchmaster.h gave out.
    explicit Factory(swm_factory *factory) noexcept : factory_(factory) {}

    static Factory open(const std::string &url) { return Factory(url); }
    static Factory open(const Options &options) { return Factory(options); }

    /// Takes a handle to the current master.
    [[nodiscard]] Handle get(std::chrono::milliseconds timeout) const {
        return handle([&](swm_handle **handle, swm_error *error) {
            return swm_factory_get(factory_.get(), detail::millis(timeout), handle, error);
        });
    }
    /// Takes a handle to a replica.
    [[nodiscard]] Handle replica() const {
        return handle([&](swm_handle **handle, swm_error *error) {
            return swm_factory_replica(factory_.get(), handle, error);
        });
    }
    /// Takes a handle to a node of this kind.
    [[nodiscard]] Handle get_from(swm_read_from from) const {
        return handle([&](swm_handle **handle, swm_error *error) {
            return swm_factory_get_from(factory_.get(), from, handle, error);
        });
    }

    /// How many masters were served so far, the current one included.
    std::uint64_t generation() const {
        std::uint64_t generation = 0;
        detail::run([&](swm_error *error) {
            return swm_factory_generation(factory_.get(), &generation, error);
        });
        return generation;
    }
    /// Waits for a generation after this one; none when there was no switch in this time.
    [[nodiscard]] std::optional<std::uint64_t>
    wait_for_generation(std::uint64_t after, std::chrono::milliseconds timeout) const {
        std::uint64_t generation = 0;
        const bool found = detail::found([&](swm_error *error) {
            return swm_factory_wait_for_generation(factory_.get(), after, detail::millis(timeout),
                                                   &generation, error);
        });
        return found ? std::optional<std::uint64_t>(generation) : std::nullopt;
    }

    /// The address of the current master, `host:port`.
    std::string master() const {
        return detail::string([&](char **string, swm_error *error) {
            return swm_factory_master(factory_.get(), string, error);
        });
    }
    /// Everything that is known of the service, as one line of JSON.
    std::string topology_json() const {
        return detail::string([&](char **string, swm_error *error) {
            return swm_factory_topology_json(factory_.get(), string, error);
        });
    }
    swm_stats stats() const {
        swm_stats stats = {};
        stats.struct_size = sizeof stats;
        detail::run(
            [&](swm_error *error) { return swm_factory_stats(factory_.get(), &stats, error); });
        return stats;
    }
    /// Has the sentinels asked now.
    void refresh() const {
        detail::run([&](swm_error *error) { return swm_factory_refresh(factory_.get(), error); });
    }

    /// Takes the oldest event that was not taken; none when none came in this time.
    [[nodiscard]] std::optional<Event> next_event(std::chrono::milliseconds timeout) const {
        swm_event *event = nullptr;
        const bool found = detail::found([&](swm_error *error) {
            return swm_factory_next_event(factory_.get(), detail::millis(timeout), &event, error);
        });
        return found ? std::optional<Event>(event) : std::nullopt;
    }
    /// A descriptor that is readable while there is an event to be taken, for poll(2) and the like.
    int event_fd() const {
        int fd = -1;
        detail::run(
            [&](swm_error *error) { return swm_factory_event_fd(factory_.get(), &fd, error); });
        return fd;
    }

    /// Subscribes to channels.
    [[nodiscard]] Subscription subscribe(std::initializer_list<std::string_view> channels) const {
        return subscription(swm_factory_subscribe, detail::Words(channels));
    }
    template <typename Range>
    [[nodiscard]] Subscription subscribe(const Range &channels) const {
        return subscription(swm_factory_subscribe, detail::Words(channels));
    }
    /// Subscribes to patterns.
    [[nodiscard]] Subscription psubscribe(std::initializer_list<std::string_view> patterns) const {
        return subscription(swm_factory_psubscribe, detail::Words(patterns));
    }
    template <typename Range>
    [[nodiscard]] Subscription psubscribe(const Range &patterns) const {
        return subscription(swm_factory_psubscribe, detail::Words(patterns));
    }

    /// Closes it, and wakes who waits on it or on its handles. Again, it does nothing.
    void close() const noexcept { swm_factory_close(factory_.get()); }
    explicit operator bool() const noexcept { return factory_ != nullptr; }
    /// The same for a function of switchmaster.h.
    swm_factory *raw() const noexcept { return factory_.get(); }

private:
    template <typename Take>
    static Handle handle(Take &&take) {
        swm_handle *handle = nullptr;
        detail::run([&](swm_error *error) { return take(&handle, error); });
        return Handle(handle);
    }
    template <typename Subscribe>
    Subscription subscription(Subscribe subscribe, const detail::Words &names) const {
        swm_subscription *subscription = nullptr;
        detail::run([&](swm_error *error) {
            return subscribe(factory_.get(), names.size(), names.data(), names.lens(),
                             &subscription, error);
        });
        return Subscription(subscription);
    }

    detail::Owned<swm_factory, swm_factory_close> factory_;
};

} // namespace switchmaster

#endif // SWITCHMASTER_HPP
