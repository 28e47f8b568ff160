import Foundation
import NeonHubNative

/// One open hub, seen from one workspace. Its operations are members by namespace: `hub.people.resolve(...)`.
///
/// Cancelling a task stops its call in the core too. ``close()`` closes the store.
public struct Hub: Sendable {
    let core: Core

    /// Opens a hub, and makes its file when there is none.
    ///
    /// A new file is a sandbox: text of the offline model may pass the send gate there, and mails go to an outbox
    /// folder.
    ///
    /// - Parameters:
    ///   - url: A path such as `brand.neon`, `sqlite:PATH`, or `memory:` for a hub that leaves nothing behind.
    ///   - workspace: Short name of the workspace to work in.
    ///   - outbox: Folder that takes every message until a connector is added; beside the file when nil.
    ///   - seed: Fixes all chance, for tests and repeatable runs. Below 2^53.
    ///   - now: Stops the clock at this instant, for tests and repeatable runs.
    ///   - more: Settings of the core that have no argument here.
    public static func open(
        _ url: String = "memory:", workspace: String = "default", outbox: String? = nil, seed: Int? = nil,
        now: Date? = nil, more: [String: JSONValue] = [:]
    ) async throws -> Hub {
        var options = more
        options["url"] = .string(url)
        options["workspace"] = .string(workspace)
        options["outbox"] = outbox.map(JSONValue.string)
        options["seed"] = seed.map { .int(Int64($0)) }
        options["now"] = now.map { .string(rfc3339($0)) }
        let text = try json(.object(options))
        return Hub(core: Core(native: try await translated { try await openHub(options: text) }))
    }

    /// True once the hub was closed.
    public var isClosed: Bool { core.native.isClosed() }

    /// Names of all operations, sorted.
    public var operationNames: [String] { core.native.operations() }

    /// Stops taking calls, waits for those under way, and closes the store. Closing twice is one close.
    public func close() async throws {
        try await translated { try await core.native.shut() }
    }

    /// The same hub in another workspace.
    public func inWorkspace(_ slug: String) async throws -> Hub {
        let native = try await translated { try await core.native.workspace(slug: slug) }
        return Hub(core: Core(native: native, key: core.key, timeout: core.timeout, sendNull: core.sendNull))
    }

    /// The same hub with settings for the calls made through it.
    ///
    /// - Parameters:
    ///   - idempotencyKey: A repeated call with the same key and input gives the first answer for 24 hours.
    ///   - timeout: After this a call fails with `timeout` and nothing written; it can only shorten the operation's own
    ///     deadline.
    ///   - sendNull: Names (as in JSON) of optional arguments that are sent as null when they are nil.
    public func withOptions(
        idempotencyKey: String? = nil, timeout: Duration? = nil, sendNull: Set<String> = []
    ) -> Hub {
        Hub(core: Core(native: core.native, key: idempotencyKey, timeout: timeout, sendNull: sendNull))
    }

    /// Keeps a file of up to 100 MiB in the store and gives its name, for the `blob` of `documents.upload`.
    ///
    /// An argument of a call holds up to 1 MiB. Storing the same file again costs nothing.
    public func putBlob(_ content: Data) async throws -> String {
        try await translated { try await core.native.putBlob(content: content) }
    }

    /// What happened after `cursor` (0: from the start), then what happens, in order, each event once.
    ///
    /// - Parameters:
    ///   - cursor: `cursor` of the last item that was worked off.
    ///   - types: Only this type, such as `person.created`; `person.*` for all below.
    public func events(cursor: Int = 0, types: String? = nil) -> ItemStream<ItemEvent> {
        ItemStream(native: core.native, cursor: Int64(cursor), types: types, filter: "events")
    }

    /// Progress of running work from now on. A slow reader misses some; nothing is stored.
    public func progress() -> ItemStream<ItemProgress> {
        ItemStream(native: core.native, cursor: 0, types: nil, filter: "progress")
    }

    /// Adds a model written in Swift; it answers from now on.
    public func addModel(
        provider: String, model: String? = nil, tools: Bool = false, jsonSchema: Bool = false,
        contextTokens: Int64? = nil, maxOutputTokens: Int64? = nil,
        complete: @escaping @Sendable (ModelRequest) async throws -> ModelAnswer
    ) throws {
        var settings: [String: JSONValue] = ["provider": .string(provider)]
        settings["tools"] = .bool(tools)
        settings["json_schema"] = .bool(jsonSchema)
        settings["model"] = model.map(JSONValue.string)
        settings["context_tokens"] = contextTokens.map(JSONValue.int)
        settings["max_output_tokens"] = maxOutputTokens.map(JSONValue.int)
        let text = try json(.object(settings))
        let function = HostCode { try await complete(ModelRequest(raw: $0)).plain }
        try translated { try core.native.addModel(settings: text, complete: function) }
    }

    /// Adds a tool written in Swift; agents and models with the rights it needs may call it from now on. `probe` says what
    /// became of a call of a run whose answer was lost; a person is asked without one, or when it cannot tell.
    public func addTool(
        name: String, doc: String, inputSchema: JSONValue, effect: String = "write", needs: [String] = [],
        timeout: Duration? = nil, replace: Bool = false,
        probe: (@Sendable (ToolCall) async throws -> Landing)? = nil,
        body: @escaping @Sendable (ToolCall) async throws -> JSONValue
    ) throws {
        var settings: [String: JSONValue] = ["name": .string(name), "doc": .string(doc), "input_schema": inputSchema]
        settings["effect"] = .string(effect)
        settings["needs"] = .array(needs.map(JSONValue.string))
        settings["timeout_ms"] = timeout.map { .int($0.milliseconds) }
        let text = try json(.object(settings))
        let function = HostCode { try await body(ToolCall(raw: $0)) }
        let probes = probe.map { probe in HostCode { try await probe(ToolCall(raw: $0)).plain } }
        try translated { try core.native.addTool(settings: text, replace: replace, body: function, probe: probes) }
    }

    /// Takes a tool away. False when there was none of this name.
    @discardableResult
    public func removeTool(_ name: String) throws -> Bool {
        try translated { try core.native.removeTool(name: name) }
    }

    /// Adds a connector written in Swift; it takes over the channels it names and only ever gets what the send gate has
    /// cleared. An error that is no ``NeonHubError`` counts as "may have been sent".
    public func addConnector(
        name: String, channels: [String],
        probe: (@Sendable (_ effect: String, _ channel: String) async throws -> Landing)? = nil,
        deliver: @escaping @Sendable (OutgoingMessage) async throws -> Delivery
    ) throws {
        let text = try json(.object(["name": .string(name), "channels": .array(channels.map(JSONValue.string))]))
        let delivers = HostCode { try await deliver(OutgoingMessage(raw: $0)).plain }
        let probes = probe.map { probe in
            HostCode { try await probe($0["effect"]?.text ?? "", $0["channel"]?.text ?? "").plain }
        }
        try translated { try core.native.addConnector(settings: text, deliver: delivers, probe: probes) }
    }
}

func rfc3339(_ instant: Date) -> String {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    return formatter.string(from: instant)
}

func json(_ value: JSONValue) throws -> String {
    String(decoding: try Coding.encode(value), as: UTF8.self)
}

/// Items as they come, a batch per crossing. Each iteration has a subscription of its own, freed with its iterator.
public struct ItemStream<Element: Decodable & Sendable>: AsyncSequence, Sendable {
    let native: NativeHub
    let cursor: Int64
    let types: String?
    let filter: String

    public func makeAsyncIterator() -> Iterator {
        Iterator(opening: self)
    }

    /// Reads on. Cancelling the task that waits ends the stream.
    public struct Iterator: AsyncIteratorProtocol {
        private static var most: UInt32 { 256 }
        let opening: ItemStream
        private var stream: NativeStream?
        private var ready: [Element] = []

        init(opening: ItemStream) {
            self.opening = opening
        }

        public mutating func next() async throws -> Element? {
            if let item = ready.popLast() { return item }
            try Task.checkCancellation()
            let stream = try self.stream ?? open()
            self.stream = stream
            let batch = try await translated {
                try await withTaskCancellationHandler {
                    try await stream.nextBatch(most: Self.most)
                } onCancel: {
                    stream.stop()
                }
            }
            guard let batch else { return nil }
            ready = try Coding.decode([Element].self, batch).reversed()
            return ready.popLast()
        }

        private func open() throws -> NativeStream {
            try translated {
                try opening.native.events(cursor: opening.cursor, types: opening.types, filter: opening.filter)
            }
        }
    }
}
