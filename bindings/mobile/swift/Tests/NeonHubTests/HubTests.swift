import Foundation
import XCTest

@testable import NeonHub

/// Calls, streams, cancellation, and the parts written in Swift.
final class HubTests: XCTestCase {
    private func mail(_ n: Int) -> Identifier {
        Identifier(kind: .email, value: "p\(n)@example.example")
    }

    func testAPersonIsResolvedOnce() async throws {
        let hub = try await Hub.memory()
        let first = try await hub.people.resolve(identifiers: [mail(1)])
        let second = try await hub.people.resolve(identifiers: [mail(1)])
        XCTAssertEqual(first.person, second.person)
        try await hub.close()
        do {
            _ = try await hub.scope.whoami()
            XCTFail("a closed hub answered")
        } catch NeonHubError.unavailable {
        }
    }

    func testEventsComeInOrder() async throws {
        let hub = try await Hub.memory()
        for n in 0..<5 { _ = try await hub.people.resolve(identifiers: [mail(n)]) }
        var cursors: [Int] = []
        for try await item in hub.events(types: "person.created") {
            cursors.append(item.cursor)
            if cursors.count == 5 { break }
        }
        XCTAssertEqual(cursors, cursors.sorted())
        try await hub.close()
    }

    func testAModelAnswersAndItsErrorsKeepTheirKind() async throws {
        let hub = try await Hub.memory()
        try hub.addModel(provider: "house") { _ in ModelAnswer("Fresh for spring") }
        let answer = try await hub.ai.generateText(prompt: "Write a subject line.")
        XCTAssertEqual(answer.text, "Fresh for spring")
        try hub.addModel(provider: "busy") { _ in
            throw NeonHubError.rateLimited(Details("later", code: "quota", retryAfter: .seconds(2)))
        }
        do {
            _ = try await hub.ai.generateText(prompt: "x")
            XCTFail("the error was lost")
        } catch NeonHubError.rateLimited(let details) {
            XCTAssertEqual(details.code, "quota")
            XCTAssertEqual(details.retryAfter, .seconds(2))
        }
        try await hub.close()
    }

    func testACancelledTaskStopsItsCall() async throws {
        let hub = try await Hub.memory()
        try hub.addModel(provider: "slow") { _ in
            try await Task.sleep(for: .seconds(60))
            return ModelAnswer("late")
        }
        let call = Task { try await hub.ai.generateText(prompt: "x") }
        try await Task.sleep(for: .milliseconds(50))
        call.cancel()
        do {
            _ = try await call.value
            XCTFail("the call went on")
        } catch is CancellationError {
        }
        try await hub.close()
    }

    func testAToolAndAScriptedModel() async throws {
        let hub = try await Hub.memory()
        try hub.addTool(name: "shop.stock", doc: "How many", inputSchema: .object(["type": .string("object")]), effect: "read") {
            _ in .int(7)
        }
        let answer = try await hub.tools.call(name: "shop.stock", args: .object([:]))
        XCTAssertEqual(answer.output, .int(7))
        let script = try ScriptedModel([.string("first")])
        try hub.addModel(script)
        let written = try await hub.ai.generateText(prompt: "x")
        XCTAssertEqual(written.text, "first")
        XCTAssertEqual(script.left, [])
        try await hub.close()
    }
}
