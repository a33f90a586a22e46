"""Purposes of an analysis that are allowed, and the notice for people who are analyzed.

Inferring emotions of people at work and in education is prohibited in the European Union except for medical or safety
reasons (Regulation (EU) 2024/1689, Article 5(1)(f)); people exposed to such a system must be informed (Article 50(3)).
A stated purpose is recorded with each run. One that names work or education is refused unless it also names a medical
or safety ground. Words are matched against lists; this is not legal advice and cannot check whether a statement is
true.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from affekt.errors import PurposeError

PROHIBITED_PURPOSES: Mapping[str, tuple[str, ...]] = {
    'workplace': (
        'workplace', 'workplaces', 'at work', 'employee', 'employees', 'employer', 'employers', 'employment',
        'worker', 'workers', 'workforce', 'staff', 'personnel', 'hiring', 'hire', 'recruiting', 'recruitment',
        'recruiter', 'job interview', 'job interviews', 'interview', 'interviews', 'applicant', 'applicants',
        'job candidate', 'job candidates', 'candidate screening', 'human resources', 'hr', 'performance review',
        'call center agents', 'call centre agents', 'productivity monitoring', 'colleague', 'colleagues',
        # German
        'arbeitsplatz', 'arbeitsplätze', 'mitarbeiter', 'mitarbeiterin', 'mitarbeitende', 'angestellte',
        'arbeitnehmer', 'arbeitnehmerin', 'beschäftigte', 'bewerber', 'bewerberin', 'bewerbung',
        'bewerbungsgespräch', 'vorstellungsgespräch', 'personalauswahl', 'einstellungsgespräch',
        # French
        'lieu de travail', 'au travail', 'employé', 'employés', 'employée', 'salarié', 'salariés', 'recrutement',
        'embauche', "entretien d'embauche", 'candidat', 'candidats', 'ressources humaines',
        # Spanish
        'lugar de trabajo', 'en el trabajo', 'empleado', 'empleados', 'empleada', 'trabajador', 'trabajadores',
        'contratación', 'reclutamiento', 'entrevista de trabajo', 'recursos humanos',
        # Italian
        'luogo di lavoro', 'posto di lavoro', 'dipendente', 'dipendenti', 'lavoratore', 'lavoratori', 'assunzione',
        'colloquio di lavoro', 'risorse umane',
        # Dutch, Polish, Portuguese
        'werkplek', 'werknemer', 'werknemers', 'sollicitatie', 'sollicitant', 'personeel', 'miejsce pracy',
        'pracownik', 'pracownicy', 'pracowników', 'rekrutacja', 'local de trabalho', 'empregado', 'empregados',
        'trabalhador', 'trabalhadores', 'recrutamento',
    ),
    'education': (
        'education', 'educational', 'school', 'schools', 'classroom', 'classrooms', 'student', 'students', 'pupil',
        'pupils', 'teaching', 'exam', 'exams', 'examination', 'examinations', 'proctoring', 'proctor', 'university',
        'universities', 'college', 'lecture', 'lectures', 'lesson', 'lessons', 'e-learning', 'kindergarten',
        'admission test', 'admissions',
        # German
        'schule', 'schulen', 'schüler', 'schülerin', 'unterricht', 'klassenzimmer', 'prüfung', 'prüfungen',
        'studierende', 'student*innen', 'studenten', 'hochschule', 'universität', 'vorlesung', 'bildung',
        # French
        'école', 'écoles', 'élève', 'élèves', 'étudiant', 'étudiants', 'étudiante', 'salle de classe', 'examen',
        'examens', 'université', 'enseignement', 'éducation', 'lycée', 'collège',
        # Spanish
        'escuela', 'escuelas', 'colegio', 'alumno', 'alumnos', 'alumna', 'estudiante', 'estudiantes', 'aula',
        'aulas', 'exámenes', 'universidad', 'enseñanza', 'educación',
        # Italian
        'scuola', 'scuole', 'studente', 'studenti', 'alunno', 'alunni', 'classe', 'esame', 'esami', 'università',
        'istruzione',
        # Dutch, Polish, Portuguese
        'klaslokaal', 'leerling', 'leerlingen', 'onderwijs', 'tentamen', 'universiteit', 'szkoła', 'szkole',
        'uczeń', 'uczniowie', 'egzamin', 'uniwersytet', 'escola', 'escolas', 'aluno', 'alunos', 'exame', 'educação',
    ),
}  # fmt: skip
"""Settings that are refused, with the words that name them; whole words, without regard to case or accents."""

GROUNDS: Mapping[str, tuple[str, ...]] = {
    'medical': (
        'medical', 'medicine', 'therapy', 'therapeutic', 'clinical', 'patient', 'patients', 'diagnosis', 'health care',
        'healthcare', 'rehabilitation', 'medizinisch', 'medizinische', 'medizinischer', 'therapie', 'klinisch',
        'klinische', 'médical', 'médicale', 'médicales', 'thérapie', 'médico', 'médica', 'terapia', 'medico', 'medica',
        'medisch', 'medische', 'medyczny', 'medyczne', 'terapeutico',
    ),
    'safety': (
        'safety', 'drowsiness', 'fatigue detection', 'accident prevention', 'sicherheit', 'arbeitssicherheit',
        'sécurité', 'seguridad', 'sicurezza', 'veiligheid', 'bezpieczeństwo', 'segurança',
    ),
}  # fmt: skip
"""Grounds on which such a setting is accepted, with the words that name them."""

NOTICE = """\
This recording is analyzed by a program (affekt) that estimates expressed emotion.

It measures the face (landmarks, movements, head pose), the voice (pitch, loudness, tone) and the words that are said,
and derives from them how a person comes across from moment to moment: categories such as happiness or anger, valence
and arousal, and words for them, each with a certainty.

It does not measure what a person feels, thinks or intends. Expressions differ between people, cultures and situations;
the program is wrong often, and more often on people unlike those that its models learned from. Its output must not be
the only ground for a decision about a person.

It identifies nobody: no face or voice is compared with any list. Faces and voices of one recording are compared with
each other, to tell its people apart; what is compared is not kept. The computation runs on the operator's own machine.

You may ask the operator why you are analyzed, for how long the results are kept, to see them, and to have them deleted.
In the European Union, emotion inference at work and in education is prohibited except for medical or safety reasons
(Regulation (EU) 2024/1689, Article 5(1)(f)).
"""
"""Text to show to people before they are analyzed."""

NOTICE_LINE = 'Tell everybody who is seen or heard; `affekt notice` prints a text for them.'
"""Line on the screen while a stream is analyzed."""


def check_purpose(purpose: str) -> str:
    """The purpose with single spaces, after checking that it is allowed.

    Args:
        purpose: free text, such as 'film study' or 'workplace: safety, driver drowsiness'; '' for none.

    Raises:
        PurposeError: it names work or education and neither a medical nor a safety ground.
    """
    stated = ' '.join(purpose.split())
    prohibited = {
        setting: word for setting, words in PROHIBITED_PURPOSES.items() if (word := _first_mentioned(words, stated))
    }
    if prohibited and not stated_grounds(stated):
        setting, word = next(iter(prohibited.items()))
        raise PurposeError(
            expected='a purpose outside work and education, or one with a medical or safety ground',
            came=f'{stated!r}, which names {setting} ({word!r})',
            todo="state the ground if there is one, such as 'workplace: safety, driver drowsiness'; "
            'such emotion inference is otherwise prohibited in the EU (Regulation 2024/1689, Article 5(1)(f))',
        )
    return stated


def stated_grounds(purpose: str) -> tuple[str, ...]:
    """The names in GROUNDS that a purpose mentions; none for an empty purpose."""
    return tuple(ground for ground, words in GROUNDS.items() if _first_mentioned(words, purpose))


def _first_mentioned(words: tuple[str, ...], text: str) -> str:
    """The first of the words that occurs as a whole in the text; '' for none."""
    plain = _folded(text)
    for word in words:
        if re.search(rf'(?<!\w){re.escape(_folded(word))}(?!\w)', plain):
            return word
    return ''


def _folded(text: str) -> str:
    """The text in lower case without accents; spaces, hyphens and underscores become single spaces."""
    decomposed = unicodedata.normalize('NFKD', text.casefold())
    without_accents = ''.join(letter for letter in decomposed if not unicodedata.combining(letter))
    return re.sub(r'[\s_\-‐‑–]+', ' ', without_accents)
