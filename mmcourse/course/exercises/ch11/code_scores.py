"""11-code-scores: score coded vectors by looking up and adding, without decoding them."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.retrieval import ProductQuantizer


def code_scores(query, centers, codes):
    tables = (centers * query.view(len(centers), 1, -1)).sum(dim=2)  # (P, K)
    return tables.gather(1, codes.long().T).sum(dim=0)


def _inputs(parts, count, width, coded):
    def inputs(generator):
        centers = torch.randn(parts, count, width, generator=generator)
        codes = torch.randint(count, (coded, parts), generator=generator)
        return torch.randn(parts * width, generator=generator), centers, codes.to(torch.uint8)

    return inputs


def _scored(*, cut=None, tables=None, codes=None, joined=None):
    """Scores with the query cut otherwise, other tables, other codes, or joined otherwise."""

    def answer(query, centers, given):
        parts = query.view(len(centers), -1) if cut is None else cut(query, centers)
        products = centers * parts[:, None]
        looked = products.sum(dim=2) if tables is None else tables(centers, parts, products)
        numbers = given.long() if codes is None else codes(given.long(), centers)
        found = looked.gather(1, numbers.T)  # (P, N)
        return found.sum(dim=0) if joined is None else joined(found)

    return answer


EXERCISE = Exercise(
    id="11-code-scores",
    title="Look up and add",
    goal="score coded vectors by looking up and adding, without decoding them",
    stars=3,
    minutes=15,
    points=3,
    reference=code_scores,
    ready_made=(ProductQuantizer.scores, ProductQuantizer.tables, ProductQuantizer.decode),
    cases=(
        Case(name="four parts of two numbers", inputs=_inputs(4, 8, 2, 20)),
        Case(name="two parts of three numbers", inputs=_inputs(2, 5, 3, 6)),
        Case(name="three parts, 256 centers each", inputs=_inputs(3, 256, 4, 200)),
        Case(name="one part: the code is the number of a center", inputs=_inputs(1, 6, 5, 4)),
    ),
    mistakes=(
        Mistake(
            message="The query is cut crosswise: part p holds the numbers p · d to (p + 1) · d − 1 of it, which is "
            "`query.view(P, d)`.",
            answer=_scored(cut=lambda query, centers: query.view(-1, len(centers)).T),
        ),
        Mistake(
            message="Every part of a vector meets the first part of the query.",
            answer=_scored(cut=lambda query, centers: query.view(len(centers), -1)[:1].expand(len(centers), -1)),
        ),
        Mistake(
            message="These are squared distances. Here the score is the dot product.",
            answer=_scored(
                tables=lambda centers, parts, products: (centers - parts[:, None]).square().sum(dim=2),
            ),
        ),
        Mistake(
            message="The products of a part are averaged. A dot product is a sum.",
            answer=_scored(tables=lambda centers, parts, products: products.mean(dim=2)),
        ),
        Mistake(
            message="The query's parts are replaced by their nearest centers. Only the stored vectors are coded.",
            answer=_scored(
                cut=lambda query, centers: torch.stack(
                    [
                        own[(own - part).square().sum(dim=1).argmin()]
                        for own, part in zip(centers, query.view(len(centers), -1), strict=True)
                    ]
                )
            ),
        ),
        Mistake(
            message="All parts look into the table of the first part. Part p has a table of its own.",
            answer=_scored(tables=lambda centers, parts, products: products.sum(dim=2)[:1].expand(len(centers), -1)),
        ),
        Mistake(
            message="The numbers of the centers are shifted by one. They begin at 0.",
            answer=_scored(codes=lambda numbers, centers: (numbers - 1) % centers.shape[1]),
        ),
        Mistake(
            message="The best part is taken. Add up the parts.",
            answer=_scored(joined=lambda found: found.amax(dim=0)),
        ),
        Mistake(
            message="The parts are averaged. Add them up: the dot product of a vector is the sum over its parts.",
            answer=_scored(joined=lambda found: found.mean(dim=0)),
        ),
        Mistake(
            message="The scores of the parts are multiplied. Add them up.",
            answer=_scored(joined=lambda found: found.prod(dim=0)),
        ),
        Mistake(
            message="The scores of the parts stand side by side. Add them up for each vector.",
            answer=_scored(joined=lambda found: found.T),
        ),
        Mistake(
            message="The sum runs over the vectors. Add up the parts of each vector.",
            answer=_scored(joined=lambda found: found.sum(dim=1)),
        ),
    ),
    hints=(
        "Cut the query: `parts = query.view(P, d)`. A table of (P, K) holds the dot product of each part with each of "
        "its K centers.",
        "`tables = (centers * parts[:, None]).sum(dim=2)`; vector n needs `tables[p, codes[n, p]]` for every part p.",
        "`tables.gather(1, codes.long().T)` looks all of them up, (P, N); sum over the parts.",
    ),
)
