package ai.neonhub

import ai.neonhub.models.Identifier
import ai.neonhub.models.IdentityKind
import kotlinx.coroutines.runBlocking

/** `STORE_PATH PREFIX COUNT`: resolves that many people in a file that other processes write at the same time. */
public fun main(arguments: Array<String>): Unit = runBlocking {
    val (path, prefix, count) = arguments
    Hub.open(path).use { hub ->
        repeat(count.toInt()) { n ->
            val mail = Identifier(kind = IdentityKind.Email, value = "$prefix-$n@shared.example")
            checkNotNull(hub.people.resolve(identifiers = listOf(mail)).person)
        }
    }
    println("done $count")
}
