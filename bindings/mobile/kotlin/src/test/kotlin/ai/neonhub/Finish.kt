package ai.neonhub

import ai.neonhub.testing.ScriptedModel
import kotlinx.coroutines.runBlocking

/** `STORE RUN`: goes on with a run that processes of other languages began and said yes to. */
public fun main(arguments: Array<String>): Unit = runBlocking {
    val (store, run) = arguments
    Hub.open(store).use { hub ->
        hub.addModel(ScriptedModel("The brand is made."))
        hub.jobs.work()
        println("finished $run: ${hub.agents.getRun(id = run).run.status.name.lowercase()}")
    }
}
