package ai.neonhub

import ai.neonhub.models.*
import java.time.Instant
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds

private const val TEXT = "Bergkaffee: fresh beans for {{ first_name }}. Hauptplatz 1, 1010 Wien. Leave: {{ unsubscribe_url }}"
private const val HTML =
    "<p>Bergkaffee: fresh beans. Hauptplatz 1, 1010 Wien. <a href=\"{{ unsubscribe_url }}\">Leave</a></p>"

/** Connectors written in Kotlin, behind the send gate. */
class ConnectorTest {
    private fun atNoon(test: suspend (Hub) -> Unit) = withHub(Instant.parse("2026-11-24T15:00:00Z")) { test(it) }

    /** A released mail of a brand with a sender. */
    private suspend fun draft(hub: Hub): String {
        hub.brands.create(name = "Bergkaffee")
        hub.brands.setSender(
            brand = "bergkaffee",
            channel = BrandsChannel.Email,
            from = "hallo@bergkaffee.example",
            name = "Bergkaffee",
            postalAddress = "Hauptplatz 1, 1010 Wien",
            unsubscribeUrl = "https://bergkaffee.example/leave",
        )
        val parts = DraftsParts(subject = "Hello {{ first_name }}", text = TEXT, html = HTML)
        val made = hub.drafts.create(brand = "bergkaffee", channel = BrandsChannel.Email, parts = parts)
        return hub.drafts.approve(draft = made.id).id
    }

    private suspend fun person(hub: Hub, agrees: Boolean = true): String {
        val ada = Identifier(kind = IdentityKind.Email, value = "ada@shop.example")
        val person = hub.people.resolve(identifiers = listOf(ada), fields = PersonFields(firstName = "Ada")).person!!
        if (agrees) {
            hub.consent.record(
                person = person,
                channel = "email",
                status = Status.Granted,
                scope = "marketing",
                basis = Basis.Consent,
                method = ProofMethod.Form,
                source = "https://bergkaffee.example/newsletter",
                text = "Yes, send me news by e-mail.",
            )
        }
        return person
    }

    @Test
    fun `a cleared mail is delivered once`() = atNoon { hub ->
        val seen = mutableListOf<OutgoingMessage>()
        hub.addConnector(name = "mine", channels = listOf("email")) {
            seen += it
            Delivery("prov-1")
        }
        val send = hub.sends.create(draft = draft(hub), person = person(hub))
        assertEquals(1, hub.jobs.work().done)
        assertEquals(0, hub.jobs.work().done)
        val told = hub.sends.explain(send = send.id)
        assertEquals(SendState.Accepted to "prov-1", told.state to told.providerId)
        val message = seen.single()
        assertEquals(listOf("email", "ada@shop.example", null), listOf(message.channel, message.to, message.text))
        assertEquals(64, message.effect.length)
        assertTrue("Subject: Hello Ada\r\n" in assertNotNull(message.email).decodeToString())
    }

    @Test
    fun `nothing reaches a connector without consent`() = atNoon { hub ->
        hub.addConnector(name = "mine", channels = listOf("email")) { error("the gate was passed") }
        val draft = draft(hub)
        val stranger = person(hub, agrees = false)
        assertFailsWith<NeonHubException.ConsentRequired> { hub.sends.create(draft = draft, person = stranger) }
        hub.jobs.work()
    }

    @Test
    fun `an exception may have sent and is not tried again`() = atNoon { hub ->
        var calls = 0
        hub.addConnector(name = "mine", channels = listOf("email")) {
            calls += 1
            throw java.io.IOException("after the body")
        }
        val send = hub.sends.create(draft = draft(hub), person = person(hub))
        repeat(2) { hub.jobs.work() }
        assertEquals(1, calls)
        assertEquals(SendState.Unknown, hub.sends.explain(send = send.id).state)
    }

    @Test
    fun `an error of ours says that nothing was sent`() = atNoon { hub ->
        hub.addConnector(name = "mine", channels = listOf("email"), probe = { _, _ -> Landing.Missing }) {
            throw NeonHubException.Unavailable("the service is down", retryAfter = 60.seconds)
        }
        val send = hub.sends.create(draft = draft(hub), person = person(hub))
        assertEquals(0, hub.jobs.work().done)
        assertEquals(SendState.Queued, hub.sends.explain(send = send.id).state)
    }
}
