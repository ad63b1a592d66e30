"""00-chance: Work out from the design of a data set what a model with one sense can reach, before training it.."""

from __future__ import annotations

from mmcourse.course.exercise import Case, Exercise, Mistake

EXERCISE = Exercise(
    id="00-chance",
    title="What reading alone can reach",
    goal="Work out from the design of a data set what a model with one sense can reach, before training it.",
    stars=2,
    minutes=4,
    points=1,
    reference=200,
    nothing_ready="a number to work out",
    cases=(Case(name="right answers of the best model that only reads", inputs=lambda generator: ()),),
    mistakes=(
        Mistake(
            message="For all of them the model would have to give one sentence two different answers. It sees the "
            "sentence "
            "alone, so its answer cannot change with the picture.",
            answer=400,
        ),
        Mistake(
            message="Three of four is what the best sum of two separate scores can reach. This model does not see the "
            "picture at all.",
            answer=300,
        ),
        Mistake(
            message="A quarter would mean that it is right on one pair of four. Saying “true” every time is already "
            "right "
            "whenever the sentence is true. How often is that?",
            answer=100,
        ),
        Mistake(
            message="It cannot be wrong every time: each sentence comes once with “true” and once with “false”, and "
            "the "
            "model's answer fits one of the two.",
            answer=0,
        ),
        Mistake(
            message="That is the share. The exercise asks for the number of right answers among the 400.",
            answer=0.5,
        ),
    ),
    hints=(
        "Take one block of four. Write down what the model says to sentence A and to sentence B.",
        "The model says the same to sentence A beside both pictures. For how many of these two is it right?",
        "The same holds for sentence B. So how many of the four are right, and how many blocks of four are in 400?",
    ),
)
